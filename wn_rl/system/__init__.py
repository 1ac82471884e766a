"""The machine: files, processor, memory, threads, terminals and seeds."""
