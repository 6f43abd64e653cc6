document.title = "Example";
