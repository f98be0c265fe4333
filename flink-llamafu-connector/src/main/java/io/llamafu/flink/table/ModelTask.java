package io.llamafu.flink.table;

import org.apache.flink.annotation.PublicEvolving;

/** What a model of the provider {@code llamafu} does with a record. */
@PublicEvolving
public enum ModelTask {
    /** Answers the prompt. */
    TEXT_GENERATION,
    /** Answers with one of the option {@code labels}. */
    CLASSIFICATION,
    /** Answers with JSON of the option {@code json-schema}. */
    EXTRACTION
}
