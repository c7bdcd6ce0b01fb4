// Without this script the page shows everything; with it, samples can be filtered and the command copied.
(() => {
  const gallery = document.getElementById("gallery");
  const filters = document.getElementById("filters");
  if (gallery && filters) {
    const cards = [...gallery.querySelectorAll(".card")];
    const count = document.getElementById("shown-count");
    const chosen = { task: "", verdict: "" };
    const apply = () => {
      let visible = 0;
      for (const card of cards) {
        const fits = Object.entries(chosen).every(([key, value]) => !value || card.dataset[key] === value);
        card.hidden = !fits;
        visible += fits;
      }
      count.textContent = `${visible} of ${cards.length} shown`;
    };
    filters.hidden = false;
    filters.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const { key, value } = button.dataset;
      chosen[key] = value;
      for (const other of filters.querySelectorAll(`button[data-key="${key}"]`)) {
        other.setAttribute("aria-pressed", String(other === button));
      }
      apply();
    });
    apply();
  }
  const copy = document.getElementById("copy");
  if (copy && navigator.clipboard) {
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById("command").textContent);
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    });
  }
})();
