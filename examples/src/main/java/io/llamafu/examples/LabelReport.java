package io.llamafu.examples;

import com.fasterxml.jackson.annotation.JsonIgnore;

/**
 * The result of the labelling job.
 *
 * @param completions tickets with an answer
 * @param errors tickets with a coded error instead of an answer
 * @param seconds of the whole job, including the loading of the model
 */
record LabelReport(long completions, long errors, double seconds) {
    @JsonIgnore
    boolean isSound() {
        return errors == 0;
    }
}
