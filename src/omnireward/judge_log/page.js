// Without this script the page shows everything; with it, groups and answers can be chosen.
(() => {
  const form = document.getElementById("filters");
  if (!form) return;
  const groups = [...document.querySelectorAll("#rollouts > .card")].map((card) => ({
    card, answers: [...card.querySelectorAll(".answer")],
  }));
  const count = document.getElementById("shown-count");
  const fits = (element, key) => !form.elements[key].value || element.dataset[key] === form.elements[key].value;
  const within = (step) => {
    const { from, to } = form.elements;
    return (from.value === "" || step >= Number(from.value)) && (to.value === "" || step <= Number(to.value));
  };
  const apply = () => {
    const chosen = form.elements.outcome.value || form.elements.fault.value;
    let visible = 0;
    for (const { card, answers } of groups) {
      let some = 0;
      for (const answer of answers) {
        answer.hidden = !(fits(answer, "outcome") && fits(answer, "fault"));
        some += !answer.hidden;
      }
      card.hidden = !(fits(card, "task") && within(Number(card.dataset.step)) && (some || !chosen));
      visible += !card.hidden;
    }
    count.textContent = `${visible} of ${groups.length} groups shown`;
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  apply();
})();
