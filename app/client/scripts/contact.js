// The form for a message.
"use strict";

(() => {
  const { byId, notify, runForm, values } = board;

  function showContact() {
    const form = byId("contact-form");
    runForm(form, "/messages", values, () => {
      notify(form, "good", "Thank you, the message is with us. We answer as soon as we can.").focus();
    });
  }

  showContact();
})();
