package io.llamafu.examples;

import com.fasterxml.jackson.annotation.JsonIgnore;

/** What came out of an example. */
interface ExampleReport {
    /** Whether it shows what the example promises. */
    @JsonIgnore
    boolean isSound();

    /** What the example prints: one line of JSON, and before it what people read more easily. */
    default String text() {
        return JsonLines.write(this);
    }
}
