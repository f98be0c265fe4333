/**
 * Turns an adapter as Hugging Face PEFT saves it into the GGUF file that llama.cpp loads. Its files come from elsewhere and
 * are not trusted: every length is checked against the file before it is used, and less than 64 MB are allocated.
 */
package io.llamafu.peft;
