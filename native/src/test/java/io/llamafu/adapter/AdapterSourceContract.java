package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCatalog.OpenStack;
import io.llamafu.testing.Await;
import io.llamafu.testing.Catalogs;
import io.llamafu.testing.TinyModel;
import org.junit.jupiter.api.Test;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What every source of adapters promises, as a catalog over it shows. */
public interface AdapterSourceContract {
    /** The source that {@link #publish} fills. */
    AdapterSource source();

    /** Writes a file of the source's folder as a publisher should: complete, then renamed. */
    void publish(String file, byte[] content) throws Exception;

    void remove(String file) throws Exception;

    default AdapterCatalog catalog() {
        return Catalogs.of(source());
    }

    default void publishAdapter(String name, String content) throws Exception {
        publish(name + ".gguf", Files.readAllBytes(adapter(content)));
    }

    private static Path adapter(String content) {
        return TinyModel.adapters().resolve(content + ".gguf");
    }

    private static String digest(String content) throws Exception {
        return Sha256.of(adapter(content));
    }

    private static void assertFails(AdapterCatalog catalog, String name, ErrorCode code, String... messages) {
        assertThatThrownBy(() -> Catalogs.resolve(catalog, name))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(code))
                .hasMessageContainingAll(messages);
    }

    @Test
    default void namesAreTheAdaptersOfTheFolder() throws Exception {
        publishAdapter("medical", "medical");
        publishAdapter("legal", "legal");
        for (String other : List.of("medical.json", ".hidden.gguf", "with space.gguf", "readme.txt")) {
            publish(other, "{}".getBytes(UTF_8));
        }
        try (AdapterCatalog catalog = catalog()) {
            assertThat(catalog.names()).containsExactly("legal", "medical");
        }
    }

    @Test
    default void nameResolvesToTheContent() throws Exception {
        publishAdapter("medical", "medical");
        try (AdapterCatalog catalog = catalog()) {
            AdapterFile file = Catalogs.resolve(catalog, "medical");

            assertThat(file.name()).isEqualTo("medical");
            assertThat(file.digest()).isEqualTo(digest("medical"));
            assertThat(file.byteSize()).isEqualTo(75_680);
            assertThat(file.card()).isEqualTo(AdapterCard.NONE);
            assertThat(catalog.lastResolved("medical")).contains(file);
            assertThat(Catalogs.resolve(catalog, "medical"))
                    .as("not read again")
                    .isSameAs(file);
        }
    }

    @Test
    default void unknownNameListsTheKnownOnesAndIsFoundOnceItIsPublished() throws Exception {
        publishAdapter("medical", "medical");
        try (AdapterCatalog catalog = catalog()) {
            assertFails(
                    catalog, "new", ErrorCode.ADAPTER_NOT_FOUND, "There is no adapter 'new' in '", "it has medical.");

            publishAdapter("new", "finance");

            assertThat(Catalogs.resolve(catalog, "new").digest()).isEqualTo(digest("finance"));
        }
    }

    @Test
    default void malformedNameReachesNothing() throws Exception {
        publishAdapter("medical", "medical");
        try (AdapterCatalog catalog = catalog()) {
            for (String name : List.of("../medical", "/etc/passwd", "", "a/b", ".hidden", "a\0b", "x".repeat(129))) {
                assertFails(catalog, name, ErrorCode.INVALID_REQUEST, "is no adapter name");
            }
        }
    }

    @Test
    default void publishedAgainIsAnotherVersionAndRemovedIsGone() throws Exception {
        publishAdapter("medical", "medical");
        publishAdapter("legal", "legal");
        try (AdapterCatalog catalog = catalog()) {
            assertThat(Catalogs.resolve(catalog, "medical").digest()).isEqualTo(digest("medical"));

            publishAdapter("medical", "finance");
            String republished = digest("finance");
            Await.until(
                    "the new version",
                    () -> Catalogs.resolve(catalog, "medical").digest().equals(republished));

            remove("medical.gguf");
            Await.until("no adapter", () -> catalog.resolve("medical")
                    .handle((file, failure) -> failure != null)
                    .get(60, TimeUnit.SECONDS));
            assertFails(catalog, "medical", ErrorCode.ADAPTER_NOT_FOUND, "it has legal.");
            assertThat(catalog.lastResolved("medical")).isEmpty();
        }
    }

    @Test
    default void cardChangesWithItsAdapter() throws Exception {
        publishAdapter("medical", "medical");
        publish(
                "medical.json",
                "{\"description\": \"Labels notes\", \"defaultScale\": 0.8, \"tags\": [\"domain\", \"en\"]}"
                        .getBytes(UTF_8));
        try (AdapterCatalog catalog = catalog()) {
            AdapterFile first = Catalogs.resolve(catalog, "medical");
            assertThat(first.card()).isEqualTo(new AdapterCard("Labels notes", 0.8f, List.of("domain", "en")));

            publish("medical.json", "{\"defaultScale\": 2}".getBytes(UTF_8));
            Await.until(
                    "the new card",
                    () -> Catalogs.resolve(catalog, "medical").card().defaultScale() == 2);
            assertThat(Catalogs.resolve(catalog, "medical").digest()).isEqualTo(first.digest());

            remove("medical.json");
            Await.until(
                    "no card", () -> Catalogs.resolve(catalog, "medical").card().equals(AdapterCard.NONE));
        }
    }

    @Test
    default void malformedCardIsAnErrorOfItsAdapterOnly() throws Exception {
        publishAdapter("medical", "medical");
        publishAdapter("legal", "legal");
        publish("medical.json", "{\"scale\": 2}".getBytes(UTF_8));
        try (AdapterCatalog catalog = catalog()) {
            assertFails(catalog, "medical", ErrorCode.ADAPTER_INVALID, "unknown field 'scale'");
            assertThat(Catalogs.resolve(catalog, "legal").name()).isEqualTo("legal");
        }
    }

    @Test
    default void openStackHasTheFilesThatAreNeeded() throws Exception {
        publishAdapter("medical", "medical");
        publishAdapter("legal", "legal");
        AdapterStack stack = AdapterStack.parse("medical+legal");
        try (AdapterCatalog catalog = catalog();
                OpenStack open = catalog.open(stack, file -> true).get(60, TimeUnit.SECONDS)) {
            assertThat(open.files()).extracting(AdapterFile::name).containsExactly("medical", "legal");
            for (AdapterFile file : open.files()) {
                assertThat(Sha256.of(file.path())).isEqualTo(file.digest());
                assertThat(file.isUnchanged()).isTrue();
            }
            AdapterStack unknown = AdapterStack.parse("medical+nobody");
            assertThatThrownBy(() -> catalog.open(unknown, file -> true).get(60, TimeUnit.SECONDS))
                    .cause()
                    .hasMessageContaining("'nobody'");
        }
    }

    @Test
    default void namesAreLookedUpWithoutOpeningTheSource() throws Exception {
        publishAdapter("medical", "medical");
        Predicate<String> names = source().lookUps();
        assertThat(names.test("medical")).isTrue();
        assertThat(names.test("nobody")).isFalse();
        publishAdapter("new", "legal");
        assertThat(names.test("new")).isTrue();
    }

    @Test
    default void manyWhoAskForANameGetOneVersion() throws Exception {
        publishAdapter("medical", "medical");
        try (AdapterCatalog catalog = catalog()) {
            List<CompletableFuture<AdapterFile>> asked = new ArrayList<>();
            for (int count = 0; count < 20; count++) {
                asked.add(catalog.resolve("medical"));
            }
            asked.get(0).cancel(false);
            for (CompletableFuture<AdapterFile> one : asked.subList(1, 20)) {
                assertThat(one.get(60, TimeUnit.SECONDS).digest()).isEqualTo(digest("medical"));
            }
        }
    }

    @Test
    default void equalSourcesAreEqual() throws Exception {
        assertThat(source()).isEqualTo(source()).hasSameHashCodeAs(source());
    }
}
