package io.llamafu.examples;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;

/** A line of a file for {@code check-adapter --eval}. */
@JsonIgnoreProperties(ignoreUnknown = true)
record LabelledText(String text, String expected) {}
