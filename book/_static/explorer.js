// The two things to try: a threshold over an activation, and the steps of the random walk. Data come with the page.
"use strict";

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
function draw(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

function choice(label, names) {
  const select = make("select", {}, ...names.map((name, value) => make("option", { value }, name)));
  return [make("label", {}, label + " ", select), select];
}

async function pixels(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = make("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

// Curves of the split with a marker at the threshold; returns the function that moves it.
function curvePanel(box) {
  const [width, height, left, bottom] = [360, 230, 42, 34];
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" }, box);
  const at = (x, y) => [left + x * (width - left - 8), 8 + (1 - y) * (height - bottom - 8)];
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    draw("line", { x1: at(0, tick)[0], x2: at(1, tick)[0], y1: at(0, tick)[1], y2: at(0, tick)[1], class: "grid" }, svg);
    draw("text", { x: left - 6, y: at(0, tick)[1] + 4, "text-anchor": "end" }, svg).textContent = 100 * tick;
    draw("text", { x: at(tick, 0)[0], y: height - bottom + 18, "text-anchor": "middle" }, svg).textContent = tick;
  }
  draw("text", { x: at(0.5, 0)[0], y: height - 2, "text-anchor": "middle" }, svg).textContent = "threshold";
  const lines = ["mIoU", "over", "under"].map((name) => [name, draw("path", { class: `curve ${name}` }, svg)]);
  const marker = draw("line", { class: "marker", y1: at(0, 1)[1], y2: at(0, 0)[1] }, svg);
  const dots = lines.map(([name]) => [name, draw("circle", { r: 4, class: `dot ${name}` }, svg)]);
  return (curve, threshold, title) => {
    svg.setAttribute("aria-label", `mIoU, over- and under-activation of ${title} along the threshold`);
    for (const [name, line] of lines) {
      line.setAttribute("d", curve.threshold.map((x, i) => (i ? "L" : "M") + at(x, curve[name][i]).join(" ")).join(""));
    }
    const near = curve.threshold.reduce((best, x, i) => (Math.abs(x - threshold) < Math.abs(curve.threshold[best] - threshold) ? i : best), 0);
    const [x] = at(threshold, 0);
    marker.setAttribute("x1", x);
    marker.setAttribute("x2", x);
    for (const [name, dot] of dots) {
      dot.setAttribute("cx", x);
      dot.setAttribute("cy", at(0, curve[name][near])[1]);
    }
    return near;
  };
}

function thresholdExplorer(box) {
  const data = JSON.parse(box.querySelector("script").textContent);
  const variants = Object.keys(data.images[0].maps);
  const [imageLabel, imageSelect] = choice("Image", data.images.map((image) => image.title));
  const [variantLabel, variantSelect] = choice("Network", variants);
  variantSelect.value = String(variants.length - 1);
  const slider = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: data.threshold });
  const shown = make("output");
  const panels = make("div", { class: "panels" });
  const views = ["image", "activation", "seed", "truth"].map((name) => {
    const canvas = make("canvas", { role: "img" });
    panels.append(make("figure", {}, canvas, make("figcaption", {}, name)));
    return canvas;
  });
  const curveBox = make("div", { class: "curves" });
  const status = make("p", { "aria-live": "polite", class: "status" });
  const legend = make("p", { class: "legend" });
  for (const [name, title] of [["mIoU", "mIoU (%)"], ["over", "over-activation (%)"], ["under", "under-activation (%)"]]) {
    legend.append(make("span", {}, make("span", { class: `key ${name}` }), title), " ");
  }
  box.append(make("div", { class: "controls" }, imageLabel, variantLabel, make("label", {}, "Threshold ", slider), shown), panels);
  const curves = Object.keys(data.curves).length ? curvePanel(curveBox) : null;
  if (curves) box.append(curveBox, legend);
  box.append(status);

  const loaded = new Map();
  const load = (source) => loaded.get(source) || loaded.set(source, pixels(source)).get(source);
  const percent = (part, whole) => (whole ? ((100 * part) / whole).toFixed(1) + " %" : "undefined");

  async function update() {
    const image = data.images[imageSelect.value];
    const variant = variants[variantSelect.value];
    const threshold = Number(slider.value);
    const [photo, map] = await Promise.all([load(image.image), load(image.maps[variant])]);
    if (threshold !== Number(slider.value) || variant !== variants[variantSelect.value]) return; // a newer call draws
    const { width, height } = map;
    const drawn = views.map((canvas) => {
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      return canvas.getContext("2d").createImageData(width, height);
    });
    let [background, over, object, under] = [0, 0, 0, 0];
    for (let i = 0; i < map.data.length; i += 4) {
      const [level, label, truth] = [map.data[i], map.data[i + 1], map.data[i + 2]];
      const seed = label && level / 255 > threshold ? label : 0;
      if (truth === 0) { background += 1; over += seed > 0; }
      if (truth > 0 && truth < 255) { object += 1; under += seed === 0; }
      for (let c = 0; c < 3; c += 1) {
        const value = photo.data[i + c];
        drawn[0].data[i + c] = value;
        drawn[1].data[i + c] = data.heat[level][c];
        drawn[2].data[i + c] = seed ? 0.4 * value + 0.6 * data.palette[seed][c] : value;
        drawn[3].data[i + c] = truth === 255 ? 224 : truth ? 0.4 * value + 0.6 * data.palette[truth][c] : value;
      }
      for (const picture of drawn) picture.data[i + 3] = 255;
    }
    views.forEach((canvas, i) => canvas.getContext("2d").putImageData(drawn[i], 0, 0));
    views[0].setAttribute("aria-label", `Image: ${image.title}`);
    views[1].setAttribute("aria-label", `Activation of ${variant}`);
    views[2].setAttribute("aria-label", `Seed of ${variant} at threshold ${threshold}`);
    views[3].setAttribute("aria-label", data.masks ? "True mask" : "No true mask");
    shown.textContent = threshold.toFixed(2);
    slider.setAttribute("aria-valuetext", threshold.toFixed(2));
    let text = data.masks ? `This image: over-activation ${percent(over, background)}, under-activation ${percent(under, object)}.` : "";
    if (curves) {
      const curve = data.curves[variant];
      const near = curves(curve, threshold, variant);
      text += ` All images of ${data.split}: mIoU ${percent(curve.mIoU[near], 1)}, over ${percent(curve.over[near], 1)}, under ${percent(curve.under[near], 1)}.`;
    }
    status.textContent = text;
  }
  for (const control of [imageSelect, variantSelect]) control.addEventListener("change", update);
  slider.addEventListener("input", update);
  update();
}

function walkExplorer(box) {
  const steps = box.dataset.steps.split(",");
  const picture = box.querySelector("img");
  const slider = make("input", { type: "range", min: 0, max: steps.length - 1, step: 1, value: 0 });
  const shown = make("output");
  for (const step of steps) new Image().src = `${box.dataset.source}${step}.png`; // so that no step has to be waited for
  function update() {
    const step = steps[slider.value];
    picture.src = `${box.dataset.source}${step}.png`;
    picture.alt = `Activation after ${step} steps of the random walk`;
    shown.textContent = step;
    slider.setAttribute("aria-valuetext", `${step} steps`);
  }
  slider.addEventListener("input", update);
  box.prepend(make("div", { class: "controls" }, make("label", {}, "Steps of the walk ", slider), shown));
  update();
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".threshold-explorer").forEach(thresholdExplorer);
  document.querySelectorAll(".walk-explorer").forEach(walkExplorer);
});
