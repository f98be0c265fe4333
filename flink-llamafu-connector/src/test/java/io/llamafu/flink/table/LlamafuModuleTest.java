package io.llamafu.flink.table;

import io.llamafu.flink.Notes;
import io.llamafu.testing.LoggedMessages;
import org.apache.flink.table.functions.FunctionDefinition;
import org.apache.flink.table.functions.FunctionKind;
import org.apache.flink.table.module.Module;
import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;

import static org.assertj.core.api.Assertions.assertThat;

class LlamafuModuleTest {

    /** What the module logs while it is loaded. */
    private static List<String> logged(boolean async) {
        try (LoggedMessages messages = new LoggedMessages(LlamafuModule.class.getName())) {
            assertThat(module(async).listFunctions()).hasSize(6);
            return messages.all();
        }
    }

    private static Module module(boolean async) {
        return new LlamafuModule(Notes.options().build(), async);
    }

    private static <T> Map<String, T> functions(boolean async, Function<FunctionDefinition, T> property) {
        Module module = module(async);
        return module.listFunctions().stream()
                .collect(Collectors.toMap(
                        name -> name,
                        name -> property.apply(module.getFunctionDefinition(name.toUpperCase(Locale.ROOT))
                                .orElseThrow())));
    }

    @Test
    void onlyTheTokensOfATextAreAlwaysTheSame() {
        for (boolean async : new boolean[] {true, false}) {
            assertThat(functions(async, FunctionDefinition::isDeterministic))
                    .containsOnly(
                            Map.entry("llm_complete", false),
                            Map.entry("llm_try_complete", false),
                            Map.entry("llm_classify", false),
                            Map.entry("llm_extract", false),
                            Map.entry("llm_tokens", true),
                            Map.entry("llm_adapters", false));
        }
    }

    /** The planner computes a constant call of a deterministic function, which would open the model in the client. */
    @Test
    void noFunctionIsComputedWhileAQueryIsPlanned() {
        for (boolean async : new boolean[] {true, false}) {
            assertThat(functions(async, FunctionDefinition::supportsConstantFolding)
                            .values())
                    .containsOnly(false);
        }
    }

    @Test
    void functionsThatAskWithoutWaitingAreAsynchronous() {
        assertThat(functions(true, FunctionDefinition::getKind))
                .containsEntry("llm_complete", FunctionKind.ASYNC_SCALAR)
                .containsEntry("llm_try_complete", FunctionKind.ASYNC_SCALAR)
                .containsEntry("llm_classify", FunctionKind.ASYNC_SCALAR)
                .containsEntry("llm_extract", FunctionKind.ASYNC_SCALAR)
                .containsEntry("llm_tokens", FunctionKind.SCALAR);
        assertThat(functions(false, FunctionDefinition::getKind).values()).doesNotContain(FunctionKind.ASYNC_SCALAR);
    }

    @Test
    void asynchronousFunctionsComeWithAWarning() {
        assertThat(logged(true)).singleElement().asString().contains("WARN", "instead of NULL", "batch", "ML_PREDICT");
        assertThat(logged(false)).isEmpty();
    }
}
