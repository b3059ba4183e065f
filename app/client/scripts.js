// Shared by the pages of Harbour Board: elements, and data from the server, or from the sample when a page is opened from disk.
"use strict";

const board = (() => {
  const API = "/api/v1";
  const live = location.protocol !== "file:";
  const PAGE = 24;
  const MOST_CENTS = 1000000000;
  const MOST_PHOTOS = 6;
  const MOST_BYTES = 10000000;
  // Milliseconds, a little less than the day for which the server accepts an uploaded photo.
  const PHOTO_LASTS = 23 * 3600 * 1000;
  const PHOTO_TYPES = ["image/jpeg", "image/png", "image/webp"];

  const byId = (id) => document.getElementById(id);

  // --- elements; text is always set as text ---

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  }

  function button(text, action, kind = "quiet") {
    const element = make("button", { type: "button", class: kind }, text);
    element.addEventListener("click", action);
    return element;
  }

  function money(cents) {
    const digits = cents % 100 ? 2 : 0;
    return "$" + (cents / 100).toLocaleString("en-CA", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }

  function priceText(cents) {
    if (cents === null) return "";
    return cents === 0 ? "Free" : money(cents);
  }

  function dateText(iso) {
    return new Date(iso).toLocaleDateString("en-CA", { day: "numeric", month: "short", year: "numeric" });
  }

  // Dollars in common formats, in cents; null when empty, NaN when it is not a valid amount.
  function cents(text) {
    const amount = text.trim().replace(/^\$\s*|\s*\$$/g, "").replace(/[,\s](?=\d{3}(\D|$))/g, "");
    if (!amount) return null;
    const value = /^\d{1,8}(\.\d{1,2})?$/.test(amount) ? Math.round(Number(amount) * 100) : NaN;
    return value <= MOST_CENTS ? value : NaN;
  }

  // --- the server, or the sample ---

  // A refused or failed request. `problem` is the server's (RFC 9457), {} without a body; `wait` is in seconds.
  class RequestError extends Error {
    constructor(problem, status = 0, wait = 0) {
      super(problem.detail || (status === 413 ? "That is too large." : "The server can't be reached just now."));
      this.problem = problem;
      this.status = status;
      this.wait = wait;
    }

    // Whether a retry may succeed.
    get passing() {
      return this.status === 0 || this.status === 429 || this.status >= 500;
    }
  }

  async function request(path, options) {
    let response;
    try {
      response = await fetch(API + path, options);
    } catch {
      throw new RequestError({});
    }
    const body = await response.json().catch(() => null);
    if (!response.ok || body === null) throw new RequestError(body || {}, response.status, waitOf(response.headers.get("Retry-After")));
    return body;
  }

  function waitOf(text) {
    return Math.min(Number(text) || 0, 900);
  }

  async function get(path, query = {}) {
    const filled = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
    if (!live) return askSample(path, Object.fromEntries(filled));
    const search = new URLSearchParams(filled).toString();
    return request(search ? `${path}?${search}` : path);
  }

  function post(path, body) {
    return request(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  }

  // XMLHttpRequest, because fetch does not report the progress of an upload.
  function upload(file, onProgress) {
    const sending = new XMLHttpRequest();
    const done = new Promise((resolve, reject) => {
      sending.open("POST", `${API}/photos`);
      sending.setRequestHeader("Content-Type", file.type);
      sending.responseType = "json";
      sending.upload.addEventListener("progress", (event) => onProgress(event.loaded / event.total));
      for (const end of ["error", "abort", "timeout"]) sending.addEventListener(end, () => reject(new RequestError({})));
      sending.addEventListener("load", () => {
        if (sending.status === 201) resolve(sending.response);
        else reject(new RequestError(sending.response || {}, sending.status, waitOf(sending.getResponseHeader("Retry-After"))));
      });
      sending.send(file);
    });
    return { done, stop: () => sending.abort() };
  }

  let sampleLoading = null;

  function loadSample() {
    sampleLoading = sampleLoading || new Promise((resolve, reject) => {
      const script = make("script", { src: "sample/data.js" });
      script.addEventListener("load", () => resolve(SAMPLE));
      script.addEventListener("error", () => reject(new RequestError({ detail: "The sample is not there." })));
      document.head.append(script);
    });
    return sampleLoading;
  }

  // Respond from the sample as the server would.
  async function askSample(path, query) {
    const sample = await loadSample();
    const listings = sample.listings.map((entry, index) => sampleListing(sample, entry, index + 1));
    if (path === "/resources") return { items: sample.resources };
    if (path === "/categories") {
      return { items: sample.categories.map((category) =>
        ({ ...category, count: listings.filter((listing) => listing.category.slug === category.slug).length })) };
    }
    if (path === "/places") {
      const names = [...new Set(listings.map((listing) => listing.place))].sort();
      return { items: names.map((name) => ({ name, count: listings.filter((listing) => listing.place === name).length })) };
    }
    const found = listings.filter((listing) => fits(listing, query)).sort(ORDERS[query.sort || "newest"]);
    const start = Number(query.cursor || 0);
    const end = start + Number(query.limit || PAGE);
    return { items: found.slice(start, end), next_cursor: end < found.length ? String(end) : null };
  }

  function sampleListing(sample, entry, id) {
    return {
      ...entry,
      id,
      category: sample.categories.find((category) => category.slug === entry.category),
      published_at: new Date(Date.now() - entry.hours_ago * 3600000).toISOString(),
      photos: (entry.photos || []).map((name) =>
        ({ width: 1280, height: 960, sizes: [{ width: 1280, height: 960, url: `sample/${name}` }] })),
    };
  }

  const ORDERS = {
    newest: (one, other) => other.published_at.localeCompare(one.published_at),
    cheapest: (one, other) => (one.price_cents ?? Infinity) - (other.price_cents ?? Infinity) || one.id - other.id,
    dearest: (one, other) => (other.price_cents ?? -1) - (one.price_cents ?? -1) || one.id - other.id,
  };

  function fits(listing, query) {
    const has = (text, part) => text.toLowerCase().includes(part.toLowerCase());
    return (query.q || "").split(/\s+/).every((word) => has(`${listing.title} ${listing.description}`, word))
      && (!query.category || listing.category.slug === query.category)
      && (!query.place || listing.place.toLowerCase().startsWith(query.place.toLowerCase()))
      && (query.min_price === undefined || (listing.price_cents !== null && listing.price_cents >= query.min_price))
      && (query.max_price === undefined || (listing.price_cents !== null && listing.price_cents <= query.max_price));
  }

  // Run `load`, which fills `list`; show an error in `status`, with a button to retry.
  async function attempt(status, list, load) {
    status.hidden = false;
    status.textContent = "Loading…";
    try {
      await load();
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      list.replaceChildren();
      list.removeAttribute("aria-busy");
      status.replaceChildren(`${error.message} `, button("Try again", () => {
        status.tabIndex = -1;
        status.focus();
        attempt(status, list, load);
      }));
    }
  }

  // --- cards ---

  function picture(photos, slug, sizes) {
    if (!photos.length) return make("img", { src: `art/${slug}.svg`, width: 400, height: 300, alt: "", loading: "lazy" });
    const [photo] = photos;
    const largest = photo.sizes[photo.sizes.length - 1];
    return make("img", {
      src: largest.url,
      srcset: photo.sizes.map((size) => `${size.url} ${size.width}w`).join(", "),
      sizes,
      width: photo.width,
      height: photo.height,
      alt: "",
      loading: "lazy",
    });
  }

  // The card of a listing; `title` is its title as a link, a button or plain text, `shown` its picture.
  function cardOf(listing, title, shown) {
    return make("article", { class: "card" },
      make("div", { class: "card-picture" }, shown),
      make("div", { class: "card-body" },
        make("div", { class: "card-top" },
          make("span", { class: "chip" }, listing.category.name),
          make("span", { class: "price" }, priceText(listing.price_cents))),
        make("h3", { dir: "auto" }, title),
        make("p", { class: "excerpt", dir: "auto" }, listing.description),
        make("p", { class: "card-foot" },
          make("span", { dir: "auto" }, listing.place),
          make("time", { datetime: listing.published_at }, dateText(listing.published_at)))));
  }

  function card(listing) {
    const title = live ? make("a", { href: `/listings/${listing.id}` }, listing.title)
      : button(listing.title, () => showDetails(listing), "cover");
    const shown = picture(listing.photos, listing.category.slug, "(min-width: 68rem) 23rem, (min-width: 44rem) 45vw, 92vw");
    return make("li", {}, cardOf(listing, title, shown));
  }

  // A listing has no page on disk: its details are shown over the list.
  function showDetails(listing) {
    const dialog = make("dialog", { class: "details", "aria-label": listing.title },
      make("div", { class: "gallery" }, picture(listing.photos, listing.category.slug, "90vw")),
      make("h2", { dir: "auto" }, listing.title),
      make("p", { class: "soft" }, [listing.category.name, listing.place, priceText(listing.price_cents)].filter(Boolean).join(" · ")),
      make("p", { class: "description", dir: "auto" }, listing.description),
      button("Close", () => dialog.close(), ""));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  function showWaiting(list, count) {
    list.setAttribute("aria-busy", "true");
    list.replaceChildren(...Array.from({ length: count }, () => make("li", { class: "waiting", "aria-hidden": "true" })));
  }

  function showCards(list, items) {
    list.replaceChildren(...items.map(card));
    list.removeAttribute("aria-busy");
  }

  function fillCategories(select, items) {
    // Keep the first option, "all" or "choose".
    select.length = 1;
    for (const category of items) select.append(make("option", { value: category.slug }, category.name));
  }

  function fillPlaces(items) {
    byId("places").replaceChildren(...items.map((place) => make("option", { value: place.name })));
  }

  byId("sample-note").hidden = live;
  return {
    MOST_BYTES, MOST_PHOTOS, ORDERS, PAGE, PHOTO_LASTS, PHOTO_TYPES, RequestError, attempt, button, byId,
    cardOf, cents, fillCategories, fillPlaces, get, live, make, money, picture, post, showCards,
    showWaiting, upload,
  };
})();
