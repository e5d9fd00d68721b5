// Stands in for MathJax, which Voilà would load from elsewhere: formulas stay as they are typed.
(() => {
  const nothing = () => {};
  const Hub = { Config: nothing, Configured: nothing, Queue: nothing, Register: { StartupHook: nothing } };
  window.MathJax ??= { Hub, Ajax: {}, InputJax: { TeX: { resetEquationNumbers: nothing } } };
})();
