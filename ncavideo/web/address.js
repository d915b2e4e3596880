"use strict";
// The page's settings in its address, so that a link to it opens as it looks now.
//
//   #fire=0.7&moss=0.3&light=0.5&speed=90&wraps=1&show=4&driven=fire,moss   (or #embed)

class Address {
  constructor(page) {
    this.page = page;
    this.settings = new URLSearchParams(location.hash.slice(1));
    this.embedded = this.settings.has("embed");
  }

  // The sliders and boxes that a setting stands for, by the setting's name.
  controls() {
    const { page } = this;
    const found = new Map([...page.get("strengths").querySelectorAll("input")].map((range, i) => [page.set.rules[i].name, range]));
    for (const name of ["light", "speed", "wraps", "show"]) found.set(name, page.get(name));
    return found;
  }

  // Set the controls as the address says; the browser keeps sliders within their bounds.
  read() {
    const { page, settings } = this;
    for (const [name, control] of this.controls()) {
      const text = settings.get(name);
      if (text === null || !Number.isFinite(Number(text))) continue;
      if (control.type === "checkbox") control.checked = text === "1";
      else if (control.tagName === "SELECT" && ![...control.options].some((option) => option.value === text)) continue;
      else control.value = text;
      control.dispatchEvent(new Event("input"));
      control.dispatchEvent(new Event("change"));
    }
    const driven = (settings.get("driven") || "").split(",");
    const chosen = page.set.rules.map((rule, i) => i).filter((i) => driven.includes(page.set.rules[i].name));
    if (chosen.length) page.source.take(chosen);
  }

  // Say in the address what the controls say.
  write() {
    const { page } = this;
    if (this.embedded) return;
    const settings = new URLSearchParams();
    for (const [name, control] of this.controls()) {
      const value = control.type === "checkbox" ? String(Number(control.checked)) : control.value;
      if (value !== (control.dataset.first || "")) settings.set(name, value);
    }
    const driven = page.source.taking.map((rule) => page.set.rules[rule].name).join(",");
    if (driven !== this.drivenFirst) settings.set("driven", driven);
    try {
      history.replaceState(null, "", settings.size ? `#${settings}` : location.pathname + location.search);
    } catch {
      // A page without an address of its own (srcdoc) has none to share.
    }
  }

  // Remember what the controls say before anybody has changed them, then follow the address.
  begin() {
    for (const control of this.controls().values())
      control.dataset.first = control.type === "checkbox" ? String(Number(control.checked)) : control.value;
    this.drivenFirst = this.page.source.taking.map((rule) => this.page.set.rules[rule].name).join(",");
    this.read();
    for (const control of this.controls().values()) control.addEventListener("change", () => this.write());
    this.page.get("taking").addEventListener("change", () => this.write());
  }
}
