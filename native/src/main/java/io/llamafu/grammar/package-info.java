/** Compiles lists of labels and JSON schemas to GBNF grammars. */
package io.llamafu.grammar;
