"""The app in the browser: render, preview and train without the command line."""
