// Show the wheel's address as the reader sees the site, not as the build was told it would be.
document.querySelectorAll(".smallport-install pre").forEach((block) => {
  const root = new URL(document.documentElement.dataset.content_root, location.href).href;
  const walker = document.createTreeWalker(block, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    node.data = node.data.replace(/https?:\/\/\S+\/(?=smallport-)/, root);
  }
});
