// The form for a listing, with its preview.
"use strict";

(() => {
  const {
    Photos, RequestError, byId, cardOf, cents, fillCategories, fillPlaces, get, make, picture, runForm,
    notify, values,
  } = board;

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
      // Without access to the clipboard it stays selected.
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
      notify(form, "bad", `${error.message} Please load the page again: what you have written stays.`);
    });
  }

  showSubmit();
})();
