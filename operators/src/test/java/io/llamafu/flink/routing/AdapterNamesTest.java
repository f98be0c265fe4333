package io.llamafu.flink.routing;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.artifact.RemoteStore;
import io.llamafu.testing.TinyModel;
import org.apache.flink.util.InstantiationUtil;
import org.junit.jupiter.api.Test;

import java.util.function.Predicate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class AdapterNamesTest {

    @Test
    void namesAreThoseOfTheFolder() throws Exception {
        assertKnowsTheAdapters(open(TinyModel.adapters().toString()));
        assertKnowsTheAdapters(
                open(RemoteStore.over(TinyModel.folder()).uri("adapters").toString()));
    }

    private static void assertKnowsTheAdapters(Predicate<String> names) {
        assertThat(names.test("medical")).isTrue();
        assertThat(names.test("formal")).isTrue();
        assertThat(names.test("typo")).isFalse();
    }

    @Test
    void filesWithANameOfTheirOwnCountToo() throws Exception {
        LlamafuOptions options = LlamafuOptions.builder()
                .model("base.gguf")
                .adapter("other", TinyModel.adapters().resolve("medical.gguf").toString())
                .build();
        Predicate<String> names =
                InstantiationUtil.clone(AdapterNames.of(options)).open();

        assertThat(names.test("other")).isTrue();
        assertThat(names.test("medical")).isFalse();
    }

    @Test
    void folderThatCannotBeAskedIsAnError() throws Exception {
        RemoteStore store = RemoteStore.over(TinyModel.folder());
        Predicate<String> names = open(store.uri("adapters").toString());
        store.setFailing(true);

        assertThatThrownBy(() -> names.test("medical"))
                .isInstanceOfSatisfying(
                        LlamafuException.class,
                        e -> assertThat(e.code()).isEqualTo(ErrorCode.ARTIFACT_UNAVAILABLE));
    }

    private static Predicate<String> open(String folder) throws Exception {
        LlamafuOptions options =
                LlamafuOptions.builder().model("base.gguf").adapters(folder).build();
        return InstantiationUtil.clone(AdapterNames.of(options)).open();
    }
}
