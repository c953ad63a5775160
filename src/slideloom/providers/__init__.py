"""Those who make pictures: paid image models, and the embedded renderer."""
