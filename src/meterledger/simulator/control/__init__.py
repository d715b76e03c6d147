"""The pages under `/_simulator`, for whoever runs the simulator. They need no key."""
