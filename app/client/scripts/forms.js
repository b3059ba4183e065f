// Forms: validated while typing, and kept as drafts until they are sent.
"use strict";

Object.assign(board, (() => {
  const { RequestError, byId, cents, live, make, post } = board;

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

  // The validation error of a field, "" for none.
  function complaint(field) {
    if (field.required && !field.value.trim()) return "Please fill this in.";
    if (field.type === "email" && !(field.checkValidity() && /@.+\.../.test(field.value))) return "Please write an e-mail address, such as name@example.org.";
    if (field.name === "price_cents" && Number.isNaN(cents(field.value))) return "Please write an amount up to 10,000,000, such as 45 or 12.50.";
    return "";
  }

  function notify(form, kind, text) {
    const note = byId(`${form.id}-note`);
    note.className = `form-note ${kind}`;
    note.textContent = text;
    note.hidden = !text;
    return note;
  }

  // The number of characters left, announced near the limit only.
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

  // Drafts are restored when the page is reloaded in this tab.
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

  // Set up `form`: `content` returns the body to send, `thank` gets the response.
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
        if (!form.querySelector("[aria-invalid]")) notify(form, "", "");
      });
    }
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (sending) return;
      for (const field of fields) mark(field, complaint(field));
      const wrong = fields.find((field) => field.hasAttribute("aria-invalid"));
      if (wrong) {
        notify(form, "bad", "Some fields need another look.");
        wrong.focus();
        return;
      }
      if (!live) {
        notify(form, "", "All filled in well. To be sent, the form needs the server: this page was opened from disk.").focus();
        return;
      }
      sending = true;
      send.textContent = "Sending…";
      send.setAttribute("aria-disabled", "true");
      try {
        const answer = await sendAll(await content(fields));
        forget();
        form.reset();
        notify(form, "", "");
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

    // Changes during the request would not be sent.
    async function sendAll(body) {
      form.inert = true;
      try {
        return await post(path, body);
      } finally {
        form.inert = false;
      }
    }

    // Count down to the next retry; the text is kept.
    async function wait(error) {
      const when = error.wait ? `in ${error.wait} ${error.wait === 1 ? "second" : "seconds"}` : "in a moment";
      notify(form, "bad", `${error.message} Please send it again ${when}; nothing is lost.`).focus();
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
      const note = notify(form, "bad", first ? "Some fields need another look."
        : others.length ? `The photos ${others[0].detail}.` : `${error.message} Nothing was sent.`);
      return error.at || first || note;
    }
  }

  const values = (fields) => Object.fromEntries(fields.map((field) => [field.name, field.value]));

  return { mark, notify, runForm, values };
})());
