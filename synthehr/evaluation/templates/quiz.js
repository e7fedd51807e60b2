"use strict";
(function () {
  const find = (id) => document.getElementById(id);
  const images = Array.from(document.querySelectorAll("#items img"));
  const quiz = document.body.dataset.quiz;
  const answers = images.map(() => ({ answer: "", reason: "", seconds: 0 }));
  let at = 0;
  let since = performance.now();

  function keepTime() {
    const now = performance.now();
    answers[at].seconds += (now - since) / 1000;
    since = now;
  }

  function show(place) {
    keepTime();
    at = Math.max(0, Math.min(images.length - 1, place));
    images.forEach((image, k) => { image.hidden = k !== at; });
    const done = answers.filter((each) => each.answer).length;
    find("place").textContent = "Image " + (at + 1) + " of " + images.length + ", " + done + " answered";
    find("progress").value = done;
    for (const origin of ["real", "synthetic"]) {
      find(origin).setAttribute("aria-pressed", String(answers[at].answer === origin));
    }
    find("reason").value = answers[at].reason;
    find("download").disabled = done === 0;
  }

  function say(origin) {
    answers[at].answer = origin;
    show(at + 1);
  }

  function quoted(text) {
    const plain = String(text).replace(/^[=+\-@\t\r]+/, "");
    return /[",\n\r]/.test(plain) ? '"' + plain.replace(/"/g, '""') + '"' : plain;
  }

  function download() {
    keepTime();
    const lines = ["quiz,reader,item,answer,reason,seconds"];
    answers.forEach((each, k) => {
      const cells = [quiz, find("reader").value.trim(), k + 1, each.answer, each.reason, each.seconds.toFixed(1)];
      lines.push(cells.map(quoted).join(","));
    });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
    link.download = "answers-" + quiz + ".csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function share(right, of) {
    if (of === 0) { return "–"; }
    const z = 1.959964, p = right / of, w = 1 + z * z / of;
    const middle = (p + z * z / (2 * of)) / w;
    const half = z / w * Math.sqrt(p * (1 - p) / of + z * z / (4 * of * of));
    const percent = (x) => (100 * Math.min(1, Math.max(0, x))).toFixed(0);
    return percent(p) + " % (" + percent(middle - half) + " to " + percent(middle + half) + " %), " + right + " of " + of;
  }

  function score(text) {
    const rows = text.trim().split(/\r?\n/).slice(1).map((line) => line.split(","));
    if (!rows.length || rows.some((row) => row[0] !== quiz)) {
      find("scored").textContent = "This is not the key of this quiz.";
      return;
    }
    const asked = { real: 0, synthetic: 0 }, right = { real: 0, synthetic: 0 };
    for (const [, item, origin] of rows) {
      const given = answers[Number(item) - 1];
      if (given && given.answer) {
        asked[origin] += 1;
        right[origin] += given.answer === origin ? 1 : 0;
      }
    }
    find("accuracy").textContent = share(right.real + right.synthetic, asked.real + asked.synthetic);
    find("sensitivity").textContent = share(right.synthetic, asked.synthetic);
    find("specificity").textContent = share(right.real, asked.real);
    find("scored").textContent = "";
    find("scores").hidden = false;
  }

  find("real").addEventListener("click", () => say("real"));
  find("synthetic").addEventListener("click", () => say("synthetic"));
  find("back").addEventListener("click", () => show(at - 1));
  find("next").addEventListener("click", () => show(at + 1));
  find("reason").addEventListener("change", (event) => { answers[at].reason = event.target.value; });
  find("download").addEventListener("click", download);
  find("key").addEventListener("change", (event) => {
    if (event.target.files.length) { event.target.files[0].text().then(score); }
  });
  document.addEventListener("keydown", (event) => {
    if (["INPUT", "SELECT"].includes(event.target.tagName) || event.ctrlKey || event.metaKey) { return; }
    const keys = { r: () => say("real"), s: () => say("synthetic"), ArrowLeft: () => show(at - 1), ArrowRight: () => show(at + 1) };
    if (keys[event.key]) { keys[event.key](); event.preventDefault(); }
  });
  show(0);
})();
