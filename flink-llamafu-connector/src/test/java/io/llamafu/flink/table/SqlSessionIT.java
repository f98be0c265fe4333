package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import io.llamafu.engine.SharedEngines;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.Notes;
import io.llamafu.flink.completion.TaskManager;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ScalarFunction;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;

import static org.apache.flink.api.common.RuntimeExecutionMode.BATCH;
import static org.apache.flink.api.common.RuntimeExecutionMode.STREAMING;
import static org.assertj.core.api.Assertions.assertThat;

/** Ways to add the functions to a session. */
@Timeout(value = 180, unit = TimeUnit.SECONDS)
class SqlSessionIT {
    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Sql.cluster();

    private static String note(int id) {
        return Sql.literal(Notes.text(id));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "modle     | base.gguf | 'modle'         | answer-memo, batch-size",
                "max-tokens| 0         | max-tokens is 0 | 1 or more",
                "async     | true      | 'async'         | adapters.memory-budget",
                "on-error  | emit      | on-error is 'emit' | It can be: fail, null",
                "task      | classification | 'task'     | adapters.memory-budget",
            })
    void moduleRefusesWrongOptions(String key, String value, String first, String second) {
        Sql.assertFails(
                () -> new Sql(STREAMING).loadModule(key, value),
                ErrorCode.INVALID_OPTION,
                first.strip(),
                second.strip());
    }

    @Test
    void moduleRefusesOptionsThatContradictEachOther() {
        Sql.assertFails(
                () -> new Sql(STREAMING).loadModule("grammar", "root ::= [a-z]", "json-schema", "{\"type\": \"null\"}"),
                ErrorCode.INVALID_OPTION,
                "'grammar' and 'json-schema' are both set");
    }

    @Test
    void moduleNeedsAModel() {
        Sql.assertFails(
                () -> new Sql(STREAMING).execute("LOAD MODULE llamafu WITH ('max-tokens' = '3')"),
                ErrorCode.INVALID_OPTION,
                "'model' is missing");
    }

    @Test
    void moduleListsItsFunctions() {
        assertThat(new Sql(STREAMING).loadModule().env().listFunctions())
                .contains(
                        "llm_complete",
                        "llm_try_complete",
                        "llm_classify",
                        "llm_classify_scores",
                        "llm_extract",
                        "llm_tokens",
                        "llm_adapters");
    }

    /** A job with its own functions and two models. */
    @Test
    void createdFunctionsTakeTheirOptionsFromTheJobParameters() {
        Sql sql = new Sql(BATCH);
        Sql.assertFails(
                () -> sql.execute("CREATE TEMPORARY FUNCTION lonely AS 'io.llamafu.flink.table.LlmComplete'")
                        .rows("SELECT lonely('x')"),
                ErrorCode.INVALID_OPTION,
                "llamafu.model");

        Map<String, String> parameters = new HashMap<>(Map.of("other", "value"));
        Sql.options("max-tokens", "3").forEach((key, value) -> parameters.put("llamafu." + key, value));
        Sql.options().forEach((key, value) -> parameters.put("llamafu.profile.long." + key, value));
        sql.env().getConfig().set(PipelineOptions.GLOBAL_JOB_PARAMETERS, parameters);
        sql.execute("CREATE TEMPORARY FUNCTION complete AS 'io.llamafu.flink.table.LlmComplete'")
                .execute("CREATE TEMPORARY FUNCTION try_complete AS 'io.llamafu.flink.table.LlmTryComplete'")
                .execute("CREATE TEMPORARY FUNCTION classify AS 'io.llamafu.flink.table.LlmClassify'")
                .execute("CREATE TEMPORARY FUNCTION extract_json AS 'io.llamafu.flink.table.LlmExtract'")
                .execute("CREATE TEMPORARY FUNCTION tokens AS 'io.llamafu.flink.table.LlmTokens'")
                .execute("CREATE TEMPORARY FUNCTION adapters AS 'io.llamafu.flink.table.LlmAdapters'");

        Row row = sql.rows("SELECT try_complete(text, 'medical').generated_tokens,"
                        + " complete(text, 'medical', MAP['profile', 'long']), classify(text, ARRAY['a', 'b']),"
                        + " extract_json(text, '{\"enum\": [1]}'), tokens(text) FROM (VALUES (%s)) AS t (text)"
                                .formatted(note(0)))
                .get(0);
        assertThat(row.getField(0)).isEqualTo(3);
        assertThat(row.getField(1)).isEqualTo(Notes.answer(Notes.text(0), "medical"));
        assertThat(row.getField(2)).isIn("a", "b");
        assertThat(row.getField(3)).isEqualTo("1");
        assertThat(row.<Integer>getFieldAs(4)).isPositive();
        assertThat(sql.rows("SELECT * FROM LATERAL TABLE(adapters())")).hasSizeGreaterThanOrEqualTo(4);
        Sql.assertFails(
                () -> sql.rows("SELECT complete(text, '', MAP['profile', 'short']) FROM (VALUES ('x')) AS t (text)"),
                ErrorCode.INVALID_OPTION,
                "'short'",
                "profiles: long");

        parameters.put("llamafu.profile.long.max-token", "3");
        sql.env().getConfig().set(PipelineOptions.GLOBAL_JOB_PARAMETERS, parameters);
        Sql.assertFails(
                () -> sql.rows("SELECT complete(text) FROM (VALUES ('x')) AS t (text)"),
                ErrorCode.INVALID_OPTION,
                "max-token",
                "max-tokens");
    }

    @Test
    void tableApiTakesFunctionsWithOptions() {
        Sql sql = new Sql(BATCH);
        LlamafuOptions options = LlamafuOptions.fromMap(Sql.options());
        sql.env().createTemporarySystemFunction("ask", new LlmComplete(options));

        assertThat(sql.value("SELECT ask(text, 'legal') FROM (VALUES (%s)) AS t (text)".formatted(note(60))))
                .isEqualTo(Notes.answer(Notes.text(60), "legal"));
    }

    private static final String MISSING_MODEL = "missing";

    /** With the profiles {@code long} and {@link #MISSING_MODEL}, whose model does not exist. */
    private static Map<String, String> profiles() {
        Map<String, String> parameters = new HashMap<>();
        Sql.options().forEach((key, value) -> parameters.put("llamafu.profile.long." + key, value));
        parameters.put("llamafu.profile.%s.model".formatted(MISSING_MODEL), "/nowhere/base.gguf");
        return parameters;
    }

    private static String errorCodeOf(String profile) {
        return "LLM_TRY_COMPLETE(text, '', MAP['profile', %s]).error_code".formatted(profile);
    }

    @Test
    void tryCompleteTellsEveryErrorOfAProfileInItsRow() {
        Sql sql = new Sql(STREAMING).loadModule();
        sql.env().getConfig().set(PipelineOptions.GLOBAL_JOB_PARAMETERS, profiles());
        Row row = sql.rows("SELECT %s, %s, %s, %s FROM (VALUES (%s)) AS t (text)"
                        .formatted(
                                errorCodeOf("'long'"),
                                errorCodeOf("'unknown'"),
                                errorCodeOf("'" + MISSING_MODEL + "'"),
                                errorCodeOf("CAST(NULL AS STRING)"),
                                note(0)))
                .get(0);
        assertThat(row).isEqualTo(Row.of(null, "INVALID_OPTION", "MODEL_NOT_FOUND", "INVALID_OPTION"));
    }

    @Test
    void tryCompleteWithoutOptionsOfItsOwnTellsErrorsInItsRowToo() {
        Sql sql = new Sql(BATCH)
                .execute("CREATE TEMPORARY FUNCTION LLM_TRY_COMPLETE AS 'io.llamafu.flink.table.LlmTryComplete'");
        sql.env().getConfig().set(PipelineOptions.GLOBAL_JOB_PARAMETERS, profiles());
        Row row = sql.rows("SELECT %s, LLM_TRY_COMPLETE(text).error_code FROM (VALUES (%s)) AS t (text)"
                        .formatted(errorCodeOf("'unknown'"), note(0)))
                .get(0);
        assertThat(row).isEqualTo(Row.of("INVALID_OPTION", "INVALID_OPTION"));
    }

    @Test
    void onErrorOfAFunctionDecidesAboutAnUnknownProfile() {
        Sql sql = new Sql(STREAMING).loadModule("on-error", "null");
        sql.env().getConfig().set(PipelineOptions.GLOBAL_JOB_PARAMETERS, profiles());
        assertThat(sql.value("SELECT LLM_COMPLETE(text, '', MAP['profile', 'unknown']) FROM (VALUES (%s)) AS t (text)"
                        .formatted(note(0))))
                .isNull();
    }

    @Test
    void allFunctionsOfATaskManagerShareOneEngine() {
        Sql sql = new Sql(STREAMING).loadModule();
        String note = "(VALUES (%s)) AS t (text)".formatted(note(0));
        assertThat(sql.rows("SELECT LLM_TOKENS(text) FROM " + note)).hasSize(1);
        int engines = SharedEngines.usage().size();

        assertThat(sql.rows("SELECT LLM_COMPLETE(text), LLM_COMPLETE(text, 'legal'), LLM_TOKENS(text) FROM " + note))
                .hasSize(1);
        assertThat(SharedEngines.usage().size()).isEqualTo(engines);
    }

    /** Reports whether it sees the memory of its TaskManager. */
    public static final class SeesMemory extends ScalarFunction {
        private static final long serialVersionUID = 1L;

        private boolean seen;

        @Override
        public void open(FunctionContext context) {
            seen = TaskManager.of(context, Set.of()).memory().isPresent();
        }

        public Boolean eval(String text) {
            return seen;
        }

        @Override
        public boolean isDeterministic() {
            return false;
        }
    }

    @Test
    void functionsSeeTheTaskManagerBehindTheirContext() {
        Sql sql = new Sql(STREAMING);
        sql.env().createTemporarySystemFunction("sees_memory", SeesMemory.class);
        assertThat(sql.value("SELECT sees_memory(text) FROM (VALUES ('a')) AS t (text)"))
                .isEqualTo(true);
    }

    @Test
    void configurationMayNameTheParametersInWrittenForm() {
        Configuration configuration = new Configuration();
        configuration.setString(
                "pipeline.global-job-parameters",
                "llamafu.model:%s,llamafu.threads:1,llamafu.max-tokens:2"
                        .formatted(Sql.options().get("model").replace("file://", "")));
        Sql sql = new Sql(BATCH, configuration)
                .execute("CREATE TEMPORARY FUNCTION try_complete AS 'io.llamafu.flink.table.LlmTryComplete'");

        assertThat(((Row) sql.value("SELECT try_complete(text) FROM (VALUES ('a')) AS t (text)"))
                        .getField("generated_tokens"))
                .isEqualTo(2);
    }
}
