"use strict";
(() => {
  const part = (name) => document.getElementById("viewer" + (name && "-" + name));
  const viewer = part("");
  const [title, tabs, stage, base, truth, wipe, legend] =
    ["title", "tabs", "stage", "base", "truth", "wipe", "legend"].map(part);
  const slider = wipe.querySelector("input");
  let figures = [];
  let shown = 0;

  const picture = (figure) => figure.querySelector("img");
  const truthOf = (card) => picture(card.querySelector('figure[data-kind="truth"]'));
  // While the pointer rests on ours it shows the truth; this is where its own picture is kept.
  const own = new WeakMap();
  const source = (figure) => own.get(picture(figure)) || picture(figure).src;
  const name = (figure) =>
    figure.dataset.kind === "truth" ? "truth" : figure.dataset.model + ": " + figure.dataset.kind;

  function show(index) {
    shown = (index + figures.length) % figures.length;
    const figure = figures[shown];
    const image = picture(figure);
    const ours = figure.dataset.kind === "ours";
    base.src = source(figure);
    base.alt = image.alt;
    // Small pictures fill the window; the browser keeps their shape.
    const width = Number(image.getAttribute("width"));
    const height = Number(image.getAttribute("height"));
    const scale = Math.min((window.innerWidth * 0.92) / width, (window.innerHeight * 0.96 - 170) / height, 3);
    stage.style.width = Math.min(Math.max(1, width * scale), 1360) + "px";
    truth.hidden = wipe.hidden = !ours;
    if (ours) truth.src = truthOf(figure.closest(".photograph")).src;
    const range = figure.querySelector(".range");
    legend.replaceChildren(...(range ? [range.cloneNode(true)] : []));
    [...tabs.children].forEach((tab, i) => tab.setAttribute("aria-pressed", String(i === shown)));
  }

  function move(percent) {
    slider.value = String(percent);
    stage.style.setProperty("--wipe", slider.value + "%");
  }

  function open(figure) {
    const card = figure.closest(".photograph");
    figures = [...card.querySelectorAll("figure")];
    title.textContent = card.querySelector("h4").firstChild.textContent.trim();
    tabs.replaceChildren(...figures.map((other, i) => {
      const tab = document.createElement("button");
      tab.type = "button";
      tab.textContent = name(other);
      tab.addEventListener("click", () => show(i));
      return tab;
    }));
    move(50);
    show(figures.indexOf(figure));
    viewer.showModal();
    tabs.children[shown].focus();
  }

  for (const button of document.querySelectorAll(".open")) {
    const figure = button.closest("figure");
    button.addEventListener("click", () => open(figure));
    if (figure.dataset.kind !== "ours") continue;
    const image = picture(figure);
    const kind = figure.querySelector(".kind");
    button.addEventListener("pointerenter", (event) => {
      if (event.pointerType !== "mouse") return;
      own.set(image, image.src);
      image.src = truthOf(figure.closest(".photograph")).src;
      kind.textContent = "truth, in place of ours";
    });
    button.addEventListener("pointerleave", () => {
      if (!own.has(image)) return;
      image.src = own.get(image);
      own.delete(image);
      kind.textContent = "ours";
    });
  }

  slider.addEventListener("input", () => move(slider.value));
  stage.addEventListener("pointermove", (event) => {
    const box = stage.getBoundingClientRect();
    if (!wipe.hidden && box.width > 0) move((100 * (event.clientX - box.left)) / box.width);
  });
  part("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("click", (event) => {
    if (event.target === viewer) viewer.close();
  });
  viewer.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && event.target !== slider) show(shown + step);
  });
})();
