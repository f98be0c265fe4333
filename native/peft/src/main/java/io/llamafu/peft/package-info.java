/**
 * Converts adapters saved by Hugging Face PEFT to the GGUF files that llama.cpp loads. The input files are not trusted:
 * every length is checked against the file before it is used, and less than 64 MB are allocated.
 */
package io.llamafu.peft;
