// The photos of a new listing: uploaded one by one as soon as they are chosen.
"use strict";

Object.assign(board, (() => {
  const {
    MOST_BYTES, MOST_PHOTOS, PHOTO_LASTS, PHOTO_TYPES, RequestError, button, byId, live, make, upload,
  } = board;

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
      // A file dropped outside the form would replace the page.
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
        // The server reports the error.
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
      byId("photos-status").textContent = `${entry.file.name} is photo ${this.entries.indexOf(entry) + 1} of ${this.entries.length}.`;
    }

    // Update the page from `entries`; elements that may have the focus are kept.
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

    // The ids of all photos when they are uploaded, again if that was long ago; an error when one failed.
    async ids() {
      for (const entry of this.entries.filter((each) => each.id && Date.now() - each.at > PHOTO_LASTS)) this.send(entry);
      let awaited;
      do {
        awaited = this.queue;
        await awaited;
        // More may have been added in the meantime.
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

  return { Photos };
})());
