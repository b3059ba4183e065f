// The pages of Harbour Board: they ask the server, or show a sample when they were opened from disk.
(() => {
  "use strict";

  const API = "/api/v1";
  const live = location.protocol !== "file:";
  const PAGE = 24;
  const MOST_CENTS = 1000000000;
  const MOST_PHOTOS = 6;
  const MOST_BYTES = 10000000;
  // Milliseconds, a little less than the day for which the server takes a photo that was sent.
  const PHOTO_LASTS = 23 * 3600 * 1000;
  const PHOTO_TYPES = ["image/jpeg", "image/png", "image/webp"];

  const byId = (id) => document.getElementById(id);

  // --- building the page; text is only ever set as text ---

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

  // Dollars as people write them, in cents; null when empty, NaN when it is no amount that is taken.
  function cents(text) {
    const amount = text.trim().replace(/^\$\s*|\s*\$$/g, "").replace(/[,\s](?=\d{3}(\D|$))/g, "");
    if (!amount) return null;
    const value = /^\d{1,8}(\.\d{1,2})?$/.test(amount) ? Math.round(Number(amount) * 100) : NaN;
    return value <= MOST_CENTS ? value : NaN;
  }

  // --- the server, or the sample ---

  // A refused or failed request. `problem` is what the server said (RFC 9457), {} when it said nothing; `wait` is in seconds.
  class RequestError extends Error {
    constructor(problem, status = 0, wait = 0) {
      super(problem.detail || (status === 413 ? "That is too large." : "The server can't be reached just now."));
      this.problem = problem;
      this.status = status;
      this.wait = wait;
    }

    // Whether the same may be sent again and be taken then.
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

  // XMLHttpRequest, since fetch does not tell how far an upload is.
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

  // Answer from the sample as the server would.
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

  // Run `load`, which fills `list`; if it fails say so in `status`, with a button that tries again.
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

  // From disk there is no page of a listing: its details are shown over the list.
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

  // --- home ---

  function showHome() {
    const tiles = byId("categories");
    attempt(byId("categories-status"), tiles, async () => {
      const { items } = await get("/categories");
      tiles.replaceChildren(...items.map((category) => make("li", {},
        make("a", { class: "tile", href: `listings.html?category=${encodeURIComponent(category.slug)}` },
          make("img", { src: `art/${category.slug}.svg`, width: 400, height: 300, alt: "" }),
          make("span", { class: "tile-name" }, category.name),
          make("span", { class: "soft" }, `${category.count} ${category.count === 1 ? "listing" : "listings"}`)))));
      byId("categories-status").hidden = true;
    });

    const status = byId("latest-status");
    const list = byId("latest");
    attempt(status, list, async () => {
      showWaiting(list, 6);
      const { items } = await get("/listings", { limit: 6 });
      showCards(list, items);
      status.textContent = items.length ? "" : "The board is empty. Yours could be the first listing.";
      status.hidden = items.length > 0;
    });
  }

  // --- listings: the address bar has the whole state ---

  const FILTERS = ["q", "category", "place", "min_price", "max_price", "sort"];

  function showListings() {
    const form = byId("filters");
    const list = byId("listings");
    const status = byId("listings-status");
    const wide = window.matchMedia("(min-width: 52rem)");
    const title = document.title;
    let latest = 0;
    let names = {};
    // The state that is shown.
    let shown = null;

    const state = () => Object.fromEntries(new URLSearchParams(location.search));

    function fill() {
      const given = state();
      for (const name of FILTERS) form.elements[name].value = given[name] || "";
      for (const name of ["category", "sort"]) {
        // A value that is not there leaves the list box empty: choose the first.
        if (form.elements[name].selectedIndex < 0) form.elements[name].selectedIndex = 0;
      }
      checkPrices();
    }

    // Mark prices that are none, or in the wrong order; tell whether they are right.
    function checkPrices() {
      const [least, most] = ["min_price", "max_price"].map((name) => {
        const value = cents(form.elements[name].value);
        mark(form.elements[name], Number.isNaN(value) ? "An amount, such as 45 or 12.50." : "");
        return value;
      });
      if (least !== null && most !== null && least > most) mark(form.elements.max_price, "This is less than the lowest price.");
      return !form.querySelector("[aria-invalid]");
    }

    // What the address asks for; what it asks for wrongly is left out.
    function query() {
      const given = state();
      const price = (name) => {
        const value = cents(given[name] || "");
        return Number.isNaN(value) ? null : value;
      };
      return {
        q: (given.q || "").slice(0, 100),
        category: Object.hasOwn(names, given.category) ? given.category : "",
        place: (given.place || "").slice(0, 80),
        min_price: price("min_price"),
        max_price: price("max_price"),
        sort: Object.hasOwn(ORDERS, given.sort) ? given.sort : "",
        limit: PAGE,
        cursor: given.cursor,
      };
    }

    // Show what the address asks for; then scroll, unless `scroll` is null.
    async function load(scroll) {
      latest += 1;
      const mine = latest;
      const asked = query();
      shown = location.search;
      document.title = asked.q ? `${asked.q} · ${title}` : title;
      byId("nothing").hidden = true;
      byId("pages").replaceChildren();
      showChips(asked);
      await attempt(status, list, async () => {
        showWaiting(list, 6);
        const page = await get("/listings", asked).catch((error) => {
          if (mine === latest && !(error.status === 404 && asked.cursor)) throw error;
        });
        // What a newer search has overtaken is dropped.
        if (mine !== latest) return;
        if (!page) {
          // The page that the address names is not there any more.
          history.replaceState(history.state, "", address({ cursor: "" }));
          await load(0);
          return;
        }
        showCards(list, page.items);
        showPages(page.next_cursor);
        status.textContent = tellCount(page);
        byId("nothing").hidden = page.items.length > 0;
        if (scroll !== null) window.scrollTo(0, scroll);
      });
    }

    function tellCount(page) {
      const count = page.items.length;
      const order = form.elements.sort.selectedOptions[0].text.toLowerCase();
      if (!count) return "No listing fits.";
      if (state().cursor) return `${count} more ${count === 1 ? "listing" : "listings"}, ${order}`;
      return `${page.next_cursor ? "The first " : ""}${count} ${count === 1 ? "listing" : "listings"}, ${order}`;
    }

    function address(changes) {
      const wanted = { ...state(), ...changes };
      const filled = Object.entries(wanted).filter(([, value]) => value);
      return filled.length ? `?${new URLSearchParams(filled)}` : location.pathname;
    }

    function go(changes) {
      const wanted = address(changes);
      if (wanted !== (location.search || location.pathname)) {
        history.replaceState({ scroll: window.scrollY }, "");
        history.pushState({ scroll: 0 }, "", wanted);
      }
      fill();
      load(0);
    }

    // The same, asked for by something that goes away.
    function leadTo(changes) {
      go(changes);
      status.focus();
    }

    // Search for what the form says, if it says it right.
    function search() {
      if (!checkPrices()) return;
      const wanted = Object.fromEntries(FILTERS.map((name) => [name, form.elements[name].value.trim()]));
      go({ ...wanted, sort: wanted.sort === "newest" ? "" : wanted.sort, cursor: "" });
    }

    function showChips(asked) {
      const texts = {
        q: (value) => `“${value}”`, category: (value) => names[value], place: (value) => value,
        min_price: (value) => `from ${money(value)}`, max_price: (value) => `up to ${money(value)}`,
      };
      byId("active").replaceChildren(...Object.keys(texts).filter((name) => asked[name] || asked[name] === 0).map((name) => {
        const text = texts[name](asked[name]);
        const chip = button(text, () => leadTo({ [name]: "", cursor: "" }), "chip remove");
        chip.setAttribute("aria-label", `Remove the filter ${text}`);
        return make("li", {}, chip);
      }));
    }

    function showPages(next) {
      byId("pages").replaceChildren(
        ...(state().cursor ? [button("First page", () => leadTo({ cursor: "" }))] : []),
        ...(next ? [button("Next page", () => leadTo({ cursor: next }), "")] : []));
    }

    history.scrollRestoration = "manual";
    window.addEventListener("pagehide", () => history.replaceState({ scroll: window.scrollY }, ""));
    window.addEventListener("popstate", (event) => {
      // Within the page, as the link to its content leads.
      if (location.search === shown) return;
      fill();
      load(event.state ? event.state.scroll : 0);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      search();
      const wrong = form.querySelector("[aria-invalid]");
      if (wrong) {
        wrong.focus();
      } else if (!wide.matches) {
        // On a phone the form hides what it has found.
        fold();
        status.focus();
      }
    });
    form.addEventListener("reset", () => setTimeout(search));
    for (const name of ["category", "sort"]) form.elements[name].addEventListener("change", search);
    for (const name of ["min_price", "max_price"]) form.elements[name].addEventListener("input", checkPrices);

    const fold = () => { byId("filters-box").open = wide.matches; };
    wide.addEventListener("change", fold);
    fold();

    attempt(status, list, async () => {
      showWaiting(list, 6);
      const [categories, places] = await Promise.all([get("/categories"), get("/places")]);
      names = Object.fromEntries(categories.items.map((category) => [category.slug, category.name]));
      fillCategories(form.elements.category, categories.items);
      fillPlaces(places.items);
      fill();
      await load(history.state ? history.state.scroll : null);
    });
  }

  function fillCategories(select, items) {
    // The first option, "all" or "choose", stays.
    select.length = 1;
    for (const category of items) select.append(make("option", { value: category.slug }, category.name));
  }

  function fillPlaces(items) {
    byId("places").replaceChildren(...items.map((place) => make("option", { value: place.name })));
  }

  // --- resources ---

  function showResources() {
    const status = byId("resources-status");
    attempt(status, byId("resources"), async () => {
      const { items } = await get("/resources");
      const sections = new Map();
      for (const item of items) sections.set(item.section, [...(sections.get(item.section) || []), item]);
      const ids = [...sections.keys()].map((name, index) => [name, `section-${index + 1}`]);
      byId("resources").replaceChildren(...ids.map(([name, id]) => make("section", { id, "aria-labelledby": `${id}-title` },
        make("h2", { id: `${id}-title` }, name),
        make("ul", { class: "links" }, ...sections.get(name).map(resource)))));
      byId("sections").replaceChildren(...(ids.length > 3 ? ids : []).map(([name, id]) =>
        make("li", {}, make("a", { class: "chip", href: `#${id}` }, name))));
      status.textContent = items.length ? "" : "No resources yet.";
      status.hidden = items.length > 0;
      // The section that the address names was not there yet.
      const wanted = ids.find(([, id]) => location.hash === `#${id}`);
      if (wanted) byId(wanted[1]).scrollIntoView();
    });
  }

  function resource(entry) {
    // Only addresses of the web become links.
    const title = /^https?:\/\//.test(entry.url) ? make("a", { href: entry.url, rel: "noopener noreferrer" }, entry.title) : entry.title;
    return make("li", {}, title, make("p", {}, entry.description));
  }

  // --- forms: checked as one types, kept until they are sent ---

  function mark(field, text) {
    const error = byId(`${field.id}-error`);
    const described = [byId(`${field.id}-hint`), text ? error : null].filter(Boolean).map((element) => element.id);
    error.textContent = text;
    error.hidden = !text;
    if (text) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
    if (described.length) field.setAttribute("aria-describedby", described.join(" "));
    else field.removeAttribute("aria-describedby");
  }

  // What is wrong with a field before it is sent, "" if nothing is.
  function complaint(field) {
    if (field.required && !field.value.trim()) return "Please fill this in.";
    if (field.type === "email" && !(field.checkValidity() && /@.+\.../.test(field.value))) return "Please write an e-mail address, such as name@example.org.";
    if (field.name === "price_cents" && Number.isNaN(cents(field.value))) return "Please write an amount up to 10,000,000, such as 45 or 12.50.";
    return "";
  }

  function tell(form, kind, text) {
    const note = byId(`${form.id}-note`);
    note.className = `form-note ${kind}`;
    note.textContent = text;
    note.hidden = !text;
    return note;
  }

  // How many characters are left, said aloud near the end only.
  function count(field) {
    const shown = make("p", { class: "count", "aria-hidden": "true" });
    const said = make("p", { class: "visually-hidden", role: "status" });
    field.after(shown, said);
    const update = () => {
      const left = field.maxLength - field.value.length;
      shown.textContent = `${field.value.length} of ${field.maxLength}`;
      said.textContent = left <= 20 ? `${left} characters left` : "";
    };
    field.addEventListener("input", update);
    field.form.addEventListener("reset", () => setTimeout(update));
    update();
  }

  // Texts that were not sent yet come back when the page is loaded again in this tab.
  function keepDraft(form, fields) {
    const key = `draft ${form.id}`;
    const draft = JSON.parse(sessionStorage.getItem(key) || "{}");
    for (const field of fields) {
      if (draft[field.name]) field.value = draft[field.name];
    }
    form.addEventListener("input", () => {
      sessionStorage.setItem(key, JSON.stringify(Object.fromEntries(fields.map((field) => [field.name, field.value]))));
    });
    return () => sessionStorage.removeItem(key);
  }

  // Make `form` work: `content` gives the body to send once it may be sent, `thank` gets the answer.
  function runForm(form, path, content, thank) {
    const fields = [...form.querySelectorAll("input[name], select, textarea")];
    const send = form.querySelector("button[type=submit]");
    const label = send.textContent;
    const forget = live ? keepDraft(form, fields) : () => {};
    let sending = false;

    for (const field of fields) {
      if (field.hasAttribute("data-count")) count(field);
      field.addEventListener("blur", () => {
        if (field.value) mark(field, complaint(field));
      });
      field.addEventListener("input", () => {
        if (field.hasAttribute("aria-invalid")) mark(field, complaint(field));
        if (!form.querySelector("[aria-invalid]")) tell(form, "", "");
      });
    }
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (sending) return;
      for (const field of fields) mark(field, complaint(field));
      const wrong = fields.find((field) => field.hasAttribute("aria-invalid"));
      if (wrong) {
        tell(form, "bad", "Some fields need another look.");
        wrong.focus();
        return;
      }
      if (!live) {
        tell(form, "", "All filled in well. To be sent, the form needs the server: this page was opened from disk.").focus();
        return;
      }
      sending = true;
      send.textContent = "Sending…";
      send.setAttribute("aria-disabled", "true");
      try {
        const answer = await sendAll(await content(fields));
        forget();
        form.reset();
        tell(form, "", "");
        thank(answer);
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        if (error.passing) await wait(error);
        else refuse(error).focus();
      } finally {
        sending = false;
        send.textContent = label;
        send.removeAttribute("aria-disabled");
      }
    });

    // What is changed meanwhile would not be sent.
    async function sendAll(body) {
      form.inert = true;
      try {
        return await post(path, body);
      } finally {
        form.inert = false;
      }
    }

    // Count down to when it is worth another try; what was written stays.
    async function wait(error) {
      const when = error.wait ? `in ${error.wait} ${error.wait === 1 ? "second" : "seconds"}` : "in a moment";
      tell(form, "bad", `${error.message} Please send it again ${when}; nothing is lost.`).focus();
      for (let left = error.wait; left > 0; left -= 1) {
        send.textContent = `Send again in ${left} s`;
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }

    // Show the server's errors next to their fields; return the element to focus.
    function refuse(error) {
      let first = null;
      for (const mistake of error.problem.errors || []) {
        const name = (mistake.pointer || "").split("/")[1];
        const field = fields.find((candidate) => candidate.name === name);
        if (!field) continue;
        mark(field, `This ${mistake.detail}.`);
        first = first || field;
      }
      const others = (error.problem.errors || []).filter((mistake) => mistake.pointer.startsWith("#/photos"));
      const note = tell(form, "bad", first ? "Some fields need another look."
        : others.length ? `The photos ${others[0].detail}.` : `${error.message} Nothing was sent.`);
      return error.at || first || note;
    }
  }

  const values = (fields) => Object.fromEntries(fields.map((field) => [field.name, field.value]));

  function showContact() {
    const form = byId("contact-form");
    runForm(form, "/messages", values, () => {
      tell(form, "good", "Thank you, the message is with us. We answer as soon as we can.").focus();
    });
  }

  // --- photos of a new listing: uploaded one by one as soon as they are chosen ---

  class Photos {
    constructor(form, onChange) {
      this.entries = [];
      this.onChange = onChange;
      this.list = byId("photo-list");
      this.input = byId("photos");
      this.queue = Promise.resolve();
      this.input.addEventListener("change", () => {
        this.add([...this.input.files]);
        this.input.value = "";
      });
      // A file that misses the form would be opened in the place of the page.
      for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
      for (const name of ["dragover", "dragleave", "drop"]) {
        form.addEventListener(name, (event) => {
          byId("photo-zone").classList.toggle("over", name === "dragover");
          if (name === "drop") this.add([...event.dataTransfer.files]);
        });
      }
      window.addEventListener("beforeunload", (event) => {
        if (live && this.entries.length) event.preventDefault();
      });
    }

    add(files) {
      const complaints = [];
      for (const file of files) {
        if (this.entries.length >= MOST_PHOTOS) complaints.push(`A listing has at most ${MOST_PHOTOS} photos; ${file.name} was left out.`);
        else if (!PHOTO_TYPES.includes(file.type)) complaints.push(`${file.name} is no JPEG, PNG or WebP picture.`);
        else if (file.size > MOST_BYTES) complaints.push(`${file.name} is larger than ${MOST_BYTES / 1000000} MB.`);
        else this.take(file);
      }
      byId("photos-error").textContent = complaints.join(" ");
      this.show();
    }

    take(file) {
      const { name } = file;
      const labelled = (text, label, action) => {
        const made = button(text, action);
        made.setAttribute("aria-label", label);
        return made;
      };
      const entry = {
        file,
        canvas: make("canvas", { width: 320, height: 240 }),
        bar: make("progress", { max: 1, value: 0, "aria-label": `Upload of ${name}` }),
        error: make("p", { class: "error", tabindex: -1 }),
        again: labelled("Try again", `Try ${name} again`, () => this.send(entry)),
        earlier: labelled("←", `Move ${name} earlier`, () => this.move(entry, -1)),
        later: labelled("→", `Move ${name} later`, () => this.move(entry, 1)),
      };
      const remove = labelled("×", `Remove ${name}`, () => this.remove(entry));
      entry.item = make("li", {}, entry.canvas, entry.error,
        make("div", { class: "photo-actions" }, entry.again, entry.earlier, entry.later, remove));
      this.entries.push(entry);
      this.list.append(entry.item);
      this.send(entry);
      this.draw(entry);
    }

    async draw({ file, canvas }) {
      try {
        const image = await createImageBitmap(file);
        const scale = Math.max(320 / image.width, 240 / image.height);
        const [width, height] = [image.width * scale, image.height * scale];
        canvas.getContext("2d").drawImage(image, (320 - width) / 2, (240 - height) / 2, width, height);
        image.close();
      } catch {
        // The server says what is wrong with it.
      }
      this.onChange();
    }

    send(entry) {
      Object.assign(entry, { id: null, failed: "", passing: false });
      this.queue = this.queue.then(async () => {
        if (!this.entries.includes(entry) || !live) return;
        try {
          const sending = upload(entry.file, (part) => { entry.bar.value = part; });
          entry.stop = sending.stop;
          entry.id = (await sending.done).id;
          entry.at = Date.now();
        } catch (error) {
          if (!(error instanceof RequestError)) throw error;
          const [mistake] = error.problem.errors || [];
          entry.failed = `${entry.file.name}: ${mistake ? `the photo ${mistake.detail}.` : error.message}`;
          entry.passing = error.passing;
        }
        this.show();
      });
      this.show();
    }

    remove(entry) {
      this.entries = this.entries.filter((other) => other !== entry);
      entry.item.remove();
      if (entry.stop) entry.stop();
      this.show();
      this.input.focus();
    }

    // Only the neighbour moves in the page, so that the button that was pressed keeps the focus.
    move(entry, step) {
      const at = this.entries.indexOf(entry);
      const other = this.entries[at + step];
      [this.entries[at], this.entries[at + step]] = [other, entry];
      if (step < 0) entry.item.after(other.item);
      else entry.item.before(other.item);
      this.show();
      const [pressed, opposite] = step < 0 ? [entry.earlier, entry.later] : [entry.later, entry.earlier];
      if (pressed.hidden) opposite.focus();
      this.tellPlace(entry);
    }

    tellPlace(entry) {
      byId("photos-said").textContent = `${entry.file.name} is photo ${this.entries.indexOf(entry) + 1} of ${this.entries.length}.`;
    }

    // Bring the page in line with `entries`; nothing that may have the focus is made anew.
    show() {
      this.entries.forEach((entry, index) => {
        entry.item.classList.toggle("failed", Boolean(entry.failed));
        entry.error.textContent = entry.failed;
        entry.error.hidden = !entry.failed;
        entry.again.hidden = !entry.passing;
        entry.earlier.hidden = index === 0;
        entry.later.hidden = index === this.entries.length - 1;
        if (entry.id || entry.failed || !live) entry.bar.remove();
        else entry.canvas.after(entry.bar);
      });
      this.onChange();
    }

    // The ids of all photos, once they are uploaded, again if that was long ago; an error when one could not be.
    async ids() {
      for (const entry of this.entries.filter((each) => each.id && Date.now() - each.at > PHOTO_LASTS)) this.send(entry);
      let awaited;
      do {
        awaited = this.queue;
        await awaited;
        // Others were added meanwhile, perhaps.
      } while (awaited !== this.queue);
      const wrong = this.entries.find((entry) => entry.failed);
      if (wrong) {
        const error = new RequestError({ detail: "One of the photos could not be sent: try it again, or remove it." }, 422);
        throw Object.assign(error, { at: wrong.error });
      }
      return this.entries.map((entry) => entry.id);
    }

    clear() {
      this.entries = [];
      this.list.replaceChildren();
      this.onChange();
    }
  }

  function showSubmit() {
    const form = byId("submit-form");
    const photos = new Photos(form, () => preview());
    let names = {};

    async function content(fields) {
      const ids = await photos.ids();
      return { ...values(fields), price_cents: cents(form.elements.price_cents.value), photos: ids };
    }

    function preview() {
      const slug = form.elements.category.value;
      const price = cents(form.elements.price_cents.value);
      const listing = {
        title: form.elements.title.value || "Your title",
        description: form.elements.description.value || "What you say of it.",
        category: { slug, name: names[slug] || "Category" },
        place: form.elements.place.value || "Place",
        price_cents: Number.isNaN(price) ? null : price,
        published_at: new Date().toISOString(),
      };
      const [first] = photos.entries;
      const shown = first ? make("canvas", { width: 320, height: 240 })
        : picture([], slug || "boats-and-gear", "");
      if (first) shown.getContext("2d").drawImage(first.canvas, 0, 0);
      byId("preview").replaceChildren(cardOf(listing, listing.title, shown));
    }

    runForm(form, "/submissions", content, (answer) => {
      photos.clear();
      preview();
      byId("thanks-link").href = answer.url;
      byId("receipt").value = byId("thanks-link").href;
      showThanks(true);
      byId("thanks").focus();
    });
    form.addEventListener("input", preview);
    byId("copy").addEventListener("click", async () => {
      byId("receipt").select();
      // Where the browser does not let it be copied it stays selected.
      const copied = await navigator.clipboard?.writeText(byId("receipt").value).then(() => true, () => false);
      if (copied) byId("copy").textContent = "Copied";
    });
    byId("another").addEventListener("click", () => {
      showThanks(false);
      form.elements.title.focus();
    });

    function showThanks(sent) {
      byId("thanks").hidden = !sent;
      byId("copy").textContent = "Copy";
      for (const element of [byId("lead"), form]) element.hidden = sent;
    }

    preview();

    const draftCategory = JSON.parse(sessionStorage.getItem("draft submit-form") || "{}").category;
    Promise.all([get("/categories"), get("/places")]).then(([categories, places]) => {
      names = Object.fromEntries(categories.items.map((category) => [category.slug, category.name]));
      fillCategories(form.elements.category, categories.items);
      form.elements.category.value = draftCategory in names ? draftCategory : "";
      fillPlaces(places.items);
      preview();
    }).catch((error) => {
      if (!(error instanceof RequestError)) throw error;
      tell(form, "bad", `${error.message} Please load the page again: what you have written stays.`);
    });
  }

  byId("sample-note").hidden = live;
  if (byId("latest")) showHome();
  if (byId("filters")) showListings();
  if (byId("resources")) showResources();
  if (byId("contact-form")) showContact();
  if (byId("submit-form")) showSubmit();
})();
