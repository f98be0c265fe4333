/** Grammars in GBNF that hold an answer to a list of labels or to a JSON schema. */
package io.llamafu.grammar;
