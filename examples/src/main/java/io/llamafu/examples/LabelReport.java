package io.llamafu.examples;

import com.fasterxml.jackson.annotation.JsonIgnore;

/**
 * What a run of the labelling job did.
 *
 * @param completions tickets with an answer
 * @param errors tickets with a coded error in place of an answer
 * @param seconds of the whole job, the loading of the model included
 */
record LabelReport(long completions, long errors, double seconds) {
    @JsonIgnore
    boolean isSound() {
        return errors == 0;
    }
}
