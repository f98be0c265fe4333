package io.llamafu.flink.table;

import org.apache.flink.annotation.PublicEvolving;

/** The task of a model with the provider {@code llamafu}. */
@PublicEvolving
public enum ModelTask {
    /** Answers the prompt. */
    TEXT_GENERATION,
    /** Answers with one of the option {@code labels}. */
    CLASSIFICATION,
    /** Answers with JSON of the option {@code json-schema}. */
    EXTRACTION
}
