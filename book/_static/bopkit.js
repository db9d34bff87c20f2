// Labels of widgets may hold maths. The widgets' manager asks for it in the words of MathJax 2;
// this hands the request to MathJax 3. All other scripts have run by now: they are deferred.
document.addEventListener("DOMContentLoaded", () => {
  if (!window.MathJax?.startup) return;
  MathJax.Hub = {
    Queue: ([, , node]) =>
      MathJax.startup.promise.then(() => MathJax.typesetPromise([node])),
  };
});
