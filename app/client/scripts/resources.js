// The page of resources.
"use strict";

(() => {
  const { attempt, byId, get, make } = board;

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
      // The section in the URL did not exist yet.
      const wanted = ids.find(([, id]) => location.hash === `#${id}`);
      if (wanted) byId(wanted[1]).scrollIntoView();
    });
  }

  function resource(entry) {
    // Only http and https URLs become links.
    const title = /^https?:\/\//.test(entry.url) ? make("a", { href: entry.url, rel: "noopener noreferrer" }, entry.title) : entry.title;
    return make("li", {}, title, make("p", {}, entry.description));
  }

  showResources();
})();
