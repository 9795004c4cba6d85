"""Reports: pictures of graphs and accounts of runs."""
