"""The Python interface: `import depthlab as dl`, then `dl.train`, `dl.load`, `dl.examine` and `dl.DepthMonitor`."""
