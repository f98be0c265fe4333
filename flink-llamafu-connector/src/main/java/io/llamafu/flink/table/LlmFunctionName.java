package io.llamafu.flink.table;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.LlamafuConfigOptions;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.table.types.inference.CallContext;

import java.util.Optional;
import java.util.Set;

/** The functions by their names in SQL, with the options that a call may set and the arguments that are checked in advance. */
enum LlmFunctionName {
    LLM_COMPLETE,
    LLM_TRY_COMPLETE,
    LLM_CLASSIFY,
    LLM_CLASSIFY_SCORES,
    LLM_EXTRACT,
    LLM_TOKENS,
    LLM_ADAPTERS;

    /** Whether its result contains errors, so that it never fails or hides one. */
    boolean emitsErrors() {
        return this == LLM_TRY_COMPLETE;
    }

    /** The options that a call may set: those that the function does not set itself. */
    Set<String> changeable() {
        return CallOptions.keys(LlamafuConfigOptions.ofACall(), fixed());
    }

    private Set<ConfigOption<?>> fixed() {
        return switch (this) {
            case LLM_TRY_COMPLETE ->
                LlamafuTableOptions.with(LlamafuTableOptions.OF_A_TEXT, LlamafuConfigOptions.ON_ERROR);
            case LLM_CLASSIFY -> LlamafuTableOptions.OF_LABELS;
            case LLM_CLASSIFY_SCORES -> LlamafuTableOptions.OF_SCORES;
            case LLM_EXTRACT -> LlamafuTableOptions.OF_A_SCHEMA;
            case LLM_COMPLETE, LLM_TOKENS, LLM_ADAPTERS -> LlamafuTableOptions.OF_A_TEXT;
        };
    }

    /**
     * Validates constant arguments while a query is planned, so that a mistake is reported before the first record.
     *
     * @throws io.llamafu.LlamafuException with the code of the mistake
     */
    void checkConstants(CallContext call) {
        switch (this) {
            case LLM_COMPLETE -> constant(call, 1).ifPresent(AdapterStack::parse);
            case LLM_CLASSIFY, LLM_CLASSIFY_SCORES -> constant(call, 2).ifPresent(AdapterStack::parse);
            case LLM_EXTRACT -> {
                constant(call, 1).ifPresent(OutputFormat.Json::of);
                constant(call, 2).ifPresent(AdapterStack::parse);
            }
            case LLM_TRY_COMPLETE, LLM_TOKENS, LLM_ADAPTERS -> {
                // A malformed stack is an error in the row; any text can be counted.
            }
        }
    }

    private static Optional<String> constant(CallContext call, int position) {
        return position < call.getArgumentDataTypes().size()
                        && call.isArgumentLiteral(position)
                        && !call.isArgumentNull(position)
                ? call.getArgumentValue(position, String.class)
                : Optional.empty();
    }
}
