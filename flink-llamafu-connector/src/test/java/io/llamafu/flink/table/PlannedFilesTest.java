package io.llamafu.flink.table;

import io.llamafu.ErrorCode;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;

/** What the files of this machine show about a model fails the planner; nothing is executed here. */
class PlannedFilesTest {
    private static final String COMPLETE = "SELECT LLM_COMPLETE(text) FROM (VALUES ('x')) AS t (text)";

    @TempDir
    Path folder;

    private final Sql sql = new Sql(RuntimeExecutionMode.STREAMING);

    private String explainFunction(String key, String value) {
        return sql.loadModule(key, value).env().explainSql(COMPLETE);
    }

    private String explainModel(String key, String value) {
        sql.createModel("m", "text STRING", "answer STRING", key, value);
        return sql.env().explainSql("SELECT * FROM ML_PREDICT(TABLE texts, MODEL m, DESCRIPTOR(text))");
    }

    @Test
    void functionOfAWrongPathIsNotPlanned() {
        String missing = folder.resolve("other.gguf").toString();
        Sql.assertFails(() -> explainFunction("model", missing), ErrorCode.MODEL_NOT_FOUND, missing);
    }

    @Test
    void functionOfASmallBudgetIsNotPlanned() {
        Sql.assertFails(
                () -> explainFunction("memory-budget", "1 kb"), ErrorCode.OUT_OF_MEMORY, "memory-budget is 1024");
    }

    @Test
    void modelWithoutItsChatTemplateIsNotPlanned() {
        sql.execute("CREATE TEMPORARY VIEW texts AS SELECT * FROM (VALUES ('x')) AS t (text)");
        Sql.assertFails(
                () -> explainModel("chat-template", "model"),
                ErrorCode.CHAT_TEMPLATE_INVALID,
                "CHAT_TEMPLATE_INVALID: chat-template is model");
    }
}
