"""The PEFT methods that come with the program, one file a family. A file here is found by itself."""
