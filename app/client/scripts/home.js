// The home page: the newest listings and the categories.
"use strict";

(() => {
  const { attempt, byId, get, make, showCards, showWaiting } = board;

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

  showHome();
})();
