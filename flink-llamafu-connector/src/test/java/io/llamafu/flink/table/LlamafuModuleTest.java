package io.llamafu.flink.table;

import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.Notes;
import org.apache.flink.table.functions.FunctionDefinition;
import org.apache.flink.table.module.Module;
import org.junit.jupiter.api.Test;

import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;

import static org.assertj.core.api.Assertions.assertThat;

class LlamafuModuleTest {

    private static <T> Map<String, T> functions(Function<FunctionDefinition, T> property) {
        return functions(Notes.options().build(), property);
    }

    private static <T> Map<String, T> functions(LlamafuOptions options, Function<FunctionDefinition, T> property) {
        Module module = new LlamafuModule(options);
        return module.listFunctions().stream()
                .collect(Collectors.toMap(
                        name -> name,
                        name -> property.apply(module.getFunctionDefinition(name.toUpperCase(Locale.ROOT))
                                .orElseThrow())));
    }

    @Test
    void onlyTheTokensOfATextAreAlwaysTheSame() {
        assertThat(functions(FunctionDefinition::isDeterministic))
                .containsOnly(
                        Map.entry("llm_complete", false),
                        Map.entry("llm_try_complete", false),
                        Map.entry("llm_classify", false),
                        Map.entry("llm_classify_scores", false),
                        Map.entry("llm_extract", false),
                        Map.entry("llm_tokens", true),
                        Map.entry("llm_adapters", false));
    }

    private static LlamafuOptions.Builder deterministic() {
        return Notes.options().packedWeights(true).deterministic(true);
    }

    /** Whether a record runs out of time depends on other records, too. */
    @Test
    void deterministicOptionsMakeFunctionsDeterministicUnlessAnErrorIsAResult() {
        assertThat(functions(deterministic().build(), FunctionDefinition::isDeterministic))
                .containsOnly(
                        Map.entry("llm_complete", true),
                        Map.entry("llm_try_complete", false),
                        Map.entry("llm_classify", true),
                        Map.entry("llm_classify_scores", true),
                        Map.entry("llm_extract", true),
                        Map.entry("llm_tokens", true),
                        Map.entry("llm_adapters", false));
        Map<String, String> withoutErrors =
                new HashMap<>(deterministic().build().toMap());
        withoutErrors.put("on-error", "null");
        assertThat(functions(LlamafuOptions.fromMap(withoutErrors), FunctionDefinition::isDeterministic))
                .containsEntry("llm_complete", false);
    }

    /** The planner evaluates constant calls of deterministic functions, which would open the model in the client. */
    @Test
    void noFunctionIsComputedWhileAQueryIsPlanned() {
        assertThat(functions(FunctionDefinition::supportsConstantFolding).values())
                .containsOnly(false);
        assertThat(functions(deterministic().build(), FunctionDefinition::supportsConstantFolding)
                        .values())
                .containsOnly(false);
    }
}
