"use strict";
(() => {
  // Pictures are in the file once, on the cards; everywhere else they are copied from there.
  for (const image of document.querySelectorAll("img[data-of]")) {
    image.src = document.getElementById(image.dataset.of).src;
  }

  const cards = [...document.querySelectorAll(".node")];
  const panelOf = (card) => document.getElementById(card.getAttribute("aria-controls"));
  let [shown, kept, chosen] = [cards[0], cards[0], cards[0]];

  const show = (card) => {
    panelOf(shown).classList.remove("shown");
    shown.removeAttribute("aria-current");
    shown = card;
    panelOf(card).classList.add("shown");
    card.setAttribute("aria-current", "true");
    const said = [...panelOf(card).querySelectorAll(".said")].map((words) => words.textContent.trim());
    document.getElementById("said").textContent = said.join(": ");
  };
  // Tab comes back to the card that had the focus last; keys lead from there to the others.
  const keep = (card) => {
    kept.tabIndex = -1;
    kept = card;
    kept.tabIndex = 0;
    show(card);
  };
  const choose = (card) => {
    chosen.setAttribute("aria-pressed", "false");
    chosen = card;
    chosen.setAttribute("aria-pressed", "true");
    for (const sheets of document.querySelectorAll("[data-sheets-of]")) sheets.hidden = sheets.dataset.sheetsOf !== card.id;
    keep(card);
  };
  const neighbour = (card, key) => {
    if (key === "Home" || key === "End") return cards.at(key === "Home" ? 0 : -1);
    if (key === "ArrowUp" || key === "ArrowDown") {
      return document.getElementById(key === "ArrowUp" ? card.dataset.parent : card.dataset.child);
    }
    const row = cards.filter((other) => other.dataset.row === card.dataset.row);
    return row[row.indexOf(card) + (key === "ArrowLeft" ? -1 : 1)];
  };

  for (const card of cards) {
    card.addEventListener("click", () => choose(card));
    card.addEventListener("focus", () => {
      keep(card);
      // A browser leaves a card alone that is seen in part. Under a pointer it must stay where it is.
      if (card.matches(":focus-visible")) card.scrollIntoView({ block: "nearest", inline: "nearest" });
    });
    card.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && show(card));
    card.addEventListener("keydown", (event) => {
      if (!/^(Arrow.*|Home|End)$/.test(event.key)) return;
      event.preventDefault();
      neighbour(card, event.key)?.focus();
    });
  }
  // A glance ends with the pointer's leaving the tree, so that the way to the slider changes nothing.
  document.querySelector(".tree").addEventListener("pointerleave", () => show(kept));

  // MLflow shows a file in a frame without its address: there a link leads nowhere, not even within the page.
  if (location.protocol === "blob:") document.querySelector("nav.pairs")?.remove();
  for (const link of document.querySelectorAll('a[href^="#"]')) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      document.querySelector(link.getAttribute("href")).scrollIntoView();
    });
  }

  // A tree wider than its window is first seen where its root is.
  const view = document.querySelector(".tree-scroll");
  view.scrollLeft = cards[0].offsetLeft - view.clientWidth / 2;

  // What is scrolled to by the keyboard must not stop under the panel that stays on top.
  const detail = document.querySelector(".detail");
  const makeRoom = () => {
    const stays = getComputedStyle(detail).position === "sticky";
    document.documentElement.style.scrollPaddingTop = stays ? `${detail.offsetHeight + 16}px` : "";
  };
  new ResizeObserver(makeRoom).observe(detail);
  addEventListener("resize", makeRoom);

  const slider = document.getElementById("opacity");
  if (slider) {
    const setOpacity = () => {
      document.documentElement.style.setProperty("--map-opacity", slider.value / 100);
      document.getElementById("opacity-value").textContent = `${slider.value} %`;
    };
    slider.addEventListener("input", setOpacity);
    setOpacity();
  }
})();
