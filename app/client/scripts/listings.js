// All listings: search, filters and order, with their whole state in the URL.
"use strict";

(() => {
  const {
    ORDERS, PAGE, attempt, button, byId, cents, fillCategories, fillPlaces, get, make, mark, money,
    showCards, showWaiting,
  } = board;

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
        // An unknown value leaves the list box empty: select the first option.
        if (form.elements[name].selectedIndex < 0) form.elements[name].selectedIndex = 0;
      }
      checkPrices();
    }

    // Mark prices that are invalid or in the wrong order; return whether they are valid.
    function checkPrices() {
      const [least, most] = ["min_price", "max_price"].map((name) => {
        const value = cents(form.elements[name].value);
        mark(form.elements[name], Number.isNaN(value) ? "An amount, such as 45 or 12.50." : "");
        return value;
      });
      if (least !== null && most !== null && least > most) mark(form.elements.max_price, "This is less than the lowest price.");
      return !form.querySelector("[aria-invalid]");
    }

    // The state in the URL, without invalid values.
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

    // Show the state in the URL; then scroll, unless `scroll` is null.
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
        // A newer search has replaced this one.
        if (mine !== latest) return;
        if (!page) {
          // The page in the URL no longer exists.
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

    // The same, for a control that disappears.
    function leadTo(changes) {
      go(changes);
      status.focus();
    }

    // Search with the form's values, if they are valid.
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
      // A link within the page, such as that to its content.
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
        // On a phone the form covers the results.
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

  showListings();
})();
