// What the pages do: fetch from /api/v1, show it, send the forms. Opened from disk they show sample data instead.
"use strict";

(() => {
  const API = "/api/v1";
  const live = location.protocol !== "file:";
  const byId = (id) => document.getElementById(id);

  // --- sample data, for pages opened from disk ---

  const CATEGORIES = [
    ["boats-and-gear", "Boats & gear"],
    ["community", "Community"],
    ["for-sale", "For sale"],
    ["homes", "Homes & rooms"],
    ["jobs", "Jobs"],
    ["lost-and-found", "Lost & found"],
  ].map(([slug, name]) => ({ slug, name }));

  const LISTINGS = [
    ["homes", "Saltbox house for rent by the week", "Trinity", 89500, 3,
      "A restored two-bedroom saltbox above the harbour, with a wood stove, a good kitchen and a view of passing icebergs in June."],
    ["boats-and-gear", "Eighteen-foot punt, oak and spruce", "Petty Harbour", 320000, 9,
      "Built over two winters in the shed behind the house. Rows easily, tows better, and has never leaked a cup of water."],
    ["community", "Kitchen party at the parish hall", "Twillingate", 0, 20,
      "Bring an instrument, a plate or just your ears. Tea, toutons and dancing from seven until the last accordion gives up."],
    ["jobs", "Line cook for the season", "Bonavista", null, 26,
      "Small restaurant by the wharf looks for a cook from May to October. Fresh cod every morning and two days off in a row."],
    ["for-sale", "Hand-knit trigger mitts", "Port Rexton", 4500, 31,
      "Pure wool, double-knit in the old diamond pattern, in three sizes. Choose your colours; ready in about two weeks."],
    ["lost-and-found", "Found: a grey cat with one white sock", "St. John's", null, 70,
      "Turned up on the porch on Sunday night and has opinions about breakfast. Tell us which foot the sock is on and she is yours."],
    ["for-sale", "Bakeapple jam, this year's picking", "Fogo", 1200, 75,
      "Small jars, picked on the barrens and cooked the same evening. Three jars for thirty dollars."],
  ].map(([slug, title, place, price_cents, hours, description], index) => ({
    id: index + 1,
    category: CATEGORIES.find((category) => category.slug === slug),
    title, place, price_cents, description,
    created_at: new Date(Date.now() - hours * 3600000).toISOString(),
  }));

  const RESOURCES = [
    ["Getting around", "Marine Atlantic", "https://www.marineatlantic.ca/",
      "Ferries between Newfoundland and Nova Scotia: times, fares and delays."],
    ["Land and sea", "Weather for Newfoundland", "https://weather.gc.ca/",
      "Forecasts, warnings and the marine forecast of Environment Canada."],
    ["Land and sea", "Gros Morne National Park", "https://parks.canada.ca/pn-np/nl/grosmorne",
      "Trails, campsites and the fjord at Western Brook Pond."],
    ["Learning and culture", "The Rooms", "https://www.therooms.ca/", "The province's museum, art gallery and archives."],
  ].map(([section, title, url, description]) => ({ section, title, url, description }));

  function sample(path, query) {
    if (path === "/categories") return { items: CATEGORIES };
    if (path === "/resources") return { items: RESOURCES };
    const has = (text, part) => text.toLowerCase().includes(part.toLowerCase());
    const words = (query.q || "").split(/\s+/).filter(Boolean);
    const items = LISTINGS.filter((listing) =>
      words.every((word) => has(`${listing.title} ${listing.description}`, word))
      && (!query.category || listing.category.slug === query.category)
      && (!query.place || has(listing.place, query.place)));
    return { items: items.slice(0, query.limit || items.length), next_cursor: null };
  }

  // --- the server ---

  // A refused or failed request. `problem` is what the server said (RFC 9457), {} when it said nothing.
  class RequestError extends Error {
    constructor(problem) {
      super(problem.detail || "The server can't be reached just now.");
      this.problem = problem;
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
    if (!response.ok || body === null) throw new RequestError(body || {});
    return body;
  }

  function get(path, query = {}) {
    if (!live) return Promise.resolve(sample(path, query));
    const filled = Object.entries(query).filter(([, value]) => value);
    const search = new URLSearchParams(filled).toString();
    return request(search ? `${path}?${search}` : path);
  }

  function post(path, body) {
    return request(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  }

  // --- building the page; text is only ever set as text ---

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function priceText(cents) {
    if (cents === null) return "";
    if (cents === 0) return "Free";
    const digits = cents % 100 ? 2 : 0;
    return "$" + (cents / 100).toLocaleString("en-CA", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }

  function dateText(iso) {
    return new Date(iso).toLocaleDateString("en-CA", { day: "numeric", month: "short", year: "numeric" });
  }

  function card(listing) {
    const title = live ? make("a", { href: `/listings/${listing.id}` }, listing.title) : listing.title;
    return make("li", {},
      make("article", { class: live ? "card" : "card sample" },
        make("div", { class: "card-top" },
          make("span", { class: "chip" }, listing.category.name),
          make("span", { class: "price" }, priceText(listing.price_cents))),
        make("h3", {}, title),
        make("p", { class: "excerpt" }, listing.description),
        make("p", { class: "card-foot" },
          make("span", {}, listing.place),
          make("time", { datetime: listing.created_at }, dateText(listing.created_at)))));
  }

  // Run `load`; if it fails say so in `status`, with a button that tries again.
  async function attempt(status, load) {
    try {
      await load();
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      const again = make("button", { type: "button", class: "quiet" }, "Try again");
      again.addEventListener("click", () => {
        status.textContent = "Loading…";
        attempt(status, load);
      });
      status.replaceChildren(error.message, again);
    }
  }

  // --- pages ---

  function showHome() {
    const chips = byId("category-chips");
    get("/categories").then(({ items }) => {
      chips.replaceChildren(...items.map((category) => {
        const href = `listings.html?category=${encodeURIComponent(category.slug)}`;
        return make("li", {}, make("a", { class: "chip", href }, category.name));
      }));
    }).catch(() => {
      chips.replaceChildren(make("li", {}, make("a", { class: "chip", href: "listings.html" }, "All listings")));
    }).finally(() => chips.removeAttribute("aria-busy"));

    const status = byId("latest-status");
    attempt(status, async () => {
      const { items } = await get("/listings", { limit: 6 });
      byId("latest").replaceChildren(...items.map(card));
      status.textContent = items.length ? "" : "The board is empty. Yours could be the first listing.";
      status.hidden = items.length > 0;
    });
  }

  async function fillCategories(select) {
    const { items } = await get("/categories");
    // The first option, "all" or "choose", stays.
    select.length = 1;
    for (const category of items) select.append(make("option", { value: category.slug }, category.name));
  }

  function showListings() {
    const form = byId("filters");
    const list = byId("listings");
    const status = byId("listings-status");
    const more = byId("more");
    const names = ["q", "category", "place"];
    let cursor = null;
    let latest = 0;

    async function load(next) {
      latest += 1;
      const mine = latest;
      const query = Object.fromEntries(names.map((name) => [name, form.elements[name].value.trim()]));
      const page = await get("/listings", { ...query, limit: 12, cursor: next ? cursor : "" });
      // An answer that a newer search has overtaken is dropped.
      if (mine !== latest) return;
      const cards = page.items.map(card);
      if (next) list.append(...cards);
      else list.replaceChildren(...cards);
      cursor = page.next_cursor;
      more.hidden = !cursor;
      const count = list.children.length;
      status.textContent = count ? `${count} ${count === 1 ? "listing" : "listings"}${cursor ? " so far" : ""}, newest first`
        : "No listing fits. Try fewer words, or another place.";
      if (next && cards.length) cards[0].querySelector("a").focus();
    }

    function search() {
      const filled = names.map((name) => [name, form.elements[name].value.trim()]).filter(([, value]) => value);
      const address = filled.length ? `?${new URLSearchParams(filled)}` : location.pathname;
      history.replaceState(null, "", address);
      attempt(status, () => load(false));
    }

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      search();
    });
    form.addEventListener("reset", () => setTimeout(search));
    form.elements.category.addEventListener("change", search);
    more.addEventListener("click", () => attempt(status, () => load(true)));

    attempt(status, async () => {
      await fillCategories(form.elements.category);
      const given = new URLSearchParams(location.search);
      for (const name of names) form.elements[name].value = given.get(name) || "";
      // A category that is not there leaves the list box empty: show them all.
      if (form.elements.category.selectedIndex < 0) form.elements.category.selectedIndex = 0;
      await load(false);
    });
  }

  function showResources() {
    const status = byId("resources-status");
    attempt(status, async () => {
      const { items } = await get("/resources");
      const sections = new Map();
      for (const item of items) sections.set(item.section, [...(sections.get(item.section) || []), item]);
      byId("resources").replaceChildren(...[...sections].map(([name, entries]) => make("section", {},
        make("h2", {}, name),
        make("ul", { class: "links" }, ...entries.map((entry) => make("li", {},
          // Only addresses of the web become links.
          /^https?:\/\//.test(entry.url) ? make("a", { href: entry.url, rel: "noopener noreferrer" }, entry.title) : entry.title,
          make("p", {}, entry.description)))))));
      status.textContent = items.length ? "" : "No resources yet.";
      status.hidden = items.length > 0;
    });
  }

  // --- forms ---

  const MISSING = "Please fill this in.";

  // Dollars as people write them, in cents; null when empty, NaN when it is no amount.
  function cents(text) {
    const amount = text.replace(/^\$\s*/, "").replace(/,(?=\d{3}\b)/g, "").trim();
    if (!amount) return null;
    return /^\d{1,8}(\.\d{1,2})?$/.test(amount) ? Math.round(Number(amount) * 100) : NaN;
  }

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
    if (field.required && !field.value.trim()) return MISSING;
    if (field.type === "email" && !(field.checkValidity() && /@.+\.../.test(field.value))) return "Please write an e-mail address, such as name@example.org.";
    if (field.name === "price_cents" && Number.isNaN(cents(field.value))) return "Please write an amount, such as 45 or 12.50.";
    return "";
  }

  function tell(form, kind, text) {
    const note = byId(`${form.id}-note`);
    note.className = `form-note ${kind}`;
    note.textContent = text;
    note.hidden = false;
    return note;
  }

  function showForm(form, path, thanks) {
    const fields = [...form.querySelectorAll("input, select, textarea")];
    const button = form.querySelector("button");
    if (!live) {
      tell(form, "", "This form needs the server: opened from disk, it can be looked at but not sent.");
      button.disabled = true;
      return;
    }
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      for (const field of fields) mark(field, complaint(field));
      const wrong = fields.find((field) => field.hasAttribute("aria-invalid"));
      if (wrong) {
        tell(form, "bad", "Some fields need another look.");
        wrong.focus();
        return;
      }
      const body = Object.fromEntries(fields.map((field) =>
        [field.name, field.name === "price_cents" ? cents(field.value) : field.value]));
      button.disabled = true;
      try {
        await post(path, body);
        form.reset();
        tell(form, "good", thanks).focus();
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        refuse(form, fields, error).focus();
      } finally {
        button.disabled = false;
      }
    });
  }

  // Put the server's complaints beside their fields; return what to focus.
  function refuse(form, fields, error) {
    let first = null;
    for (const mistake of error.problem.errors || []) {
      const field = fields.find((candidate) => mistake.pointer === `#/${candidate.name}`);
      if (!field) continue;
      mark(field, `This ${mistake.detail}.`);
      first = first || field;
    }
    const note = tell(form, "bad", first ? "Some fields need another look." : `${error.message} Nothing was sent.`);
    return first || note;
  }

  byId("sample-note").hidden = live;
  if (byId("latest")) showHome();
  if (byId("filters")) showListings();
  if (byId("resources")) showResources();
  if (byId("contact-form")) {
    showForm(byId("contact-form"), "/messages", "Thank you, the message is with us. We answer as soon as we can.");
  }
  if (byId("submit-form")) {
    const form = byId("submit-form");
    showForm(form, "/listings", "Thank you! Your listing will be on the board when somebody has read it.");
    fillCategories(form.elements.category).catch((error) => tell(form, "bad", `${error.message} Please load the page again.`));
  }
})();
