"""Components that pages share: Markdown, plots, the frame of settings pages."""
