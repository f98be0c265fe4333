package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.Sha256;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.stream.Stream;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** Folders and files of the cache that another user of the machine could have changed. */
@Timeout(120)
class OwnFilesTest {
    private static final List<String> PARTS = List.of("content", "used", "index", "partial", "sessions");
    private static final int ANOTHER_USER = 12_345;

    @TempDir
    private Path temporary;

    private Path root;
    private Path folder;
    private RemoteStore store;

    /** What makes a folder or file one of others. */
    private enum Harm {
        WRITABLE {
            @Override
            void to(Path path) throws IOException {
                Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rwxrwxrwx"));
            }
        },
        LINK {
            @Override
            void to(Path path) throws IOException {
                Path elsewhere = path.getParent().getParent().resolveSibling("elsewhere");
                Files.move(path, elsewhere);
                Files.createSymbolicLink(path, elsewhere);
            }
        },
        ANOTHER_OWNER {
            @Override
            void to(Path path) throws IOException {
                assumeTrue((int) Files.getAttribute(path, "unix:uid") == 0, "only root can give files away");
                Files.setAttribute(path, "unix:uid", ANOTHER_USER);
            }
        };

        abstract void to(Path path) throws IOException;
    }

    static Stream<Arguments> partsAndHarms() {
        return PARTS.stream().flatMap(part -> Stream.of(Harm.values()).map(harm -> Arguments.of(part, harm)));
    }

    @BeforeEach
    void createStore() throws IOException {
        root = Files.createDirectories(temporary.resolve("remote"));
        folder = temporary.resolve("own/cache");
        store = RemoteStore.over(root);
        store.publish("model", "weights".getBytes(UTF_8));
    }

    private ArtifactCache open() {
        return ArtifactCache.open(new ArtifactCache.Settings(folder, 0));
    }

    private Path link(ArtifactCache cache) throws IOException {
        Path link = cache.linkFolder("links").resolve("model");
        cache.link(RemoteFile.at(store.uri("model")), link, () -> {});
        return link;
    }

    private void fetch() throws IOException {
        try (ArtifactCache cache = open()) {
            assertThat(link(cache)).hasContent("weights");
        }
    }

    @ParameterizedTest
    @MethodSource("partsAndHarms")
    void partThatOthersCouldHaveChangedIsRefused(String part, Harm harm) throws Exception {
        fetch();
        harm.to(folder.resolve(part));

        assertThatThrownBy(this::open)
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_OPTION))
                .hasMessageContainingAll("'" + folder.resolve(part) + "'", "delete it");
        assertThat(store.reads("model")).isEqualTo(1);
    }

    @ParameterizedTest
    @MethodSource("partsAndHarms")
    void partThatChangesWhileTheCacheIsOpenIsRefused(String part, Harm harm) throws Exception {
        try (ArtifactCache cache = open()) {
            link(cache);
            harm.to(folder.resolve(part));

            assertThatThrownBy(() -> link(cache))
                    .isInstanceOfSatisfying(
                            LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_OPTION))
                    .hasMessageContainingAll("'" + folder.resolve(part) + "'", "delete it");
        }
    }

    @ParameterizedTest
    @EnumSource(Harm.class)
    void folderOfASessionThatOthersCouldHaveChangedIsRefused(Harm harm) throws Exception {
        try (ArtifactCache cache = open()) {
            Path links = link(cache).getParent();
            harm.to(links);

            assertThatThrownBy(() -> link(cache))
                    .isInstanceOfSatisfying(
                            LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_OPTION))
                    .hasMessageContaining("'" + links + "'");
        }
    }

    @ParameterizedTest
    @EnumSource(Harm.class)
    void contentThatOthersCouldHaveChangedIsFetchedAgain(Harm harm) throws Exception {
        fetch();
        Path content = folder.resolve("content").resolve(Sha256.of("weights"));
        harm.to(content);

        fetch();
        assertThat(store.reads("model")).isEqualTo(2);
        assertPrivate(content);
        fetch();
        assertThat(store.reads("model")).as("the new one is ours").isEqualTo(2);
    }

    @ParameterizedTest
    @EnumSource(Harm.class)
    void whatOthersCouldHaveSaidAboutAFileIsNotBelieved(Harm harm) throws Exception {
        fetch();
        Path entry = folder.resolve("index").resolve(CacheIndex.idOf(store.uri("model")) + ".properties");
        harm.to(entry);

        fetch();
        assertThat(store.reads("model")).isEqualTo(2);
        assertPrivate(entry);
    }

    @ParameterizedTest
    @EnumSource(Harm.class)
    void useThatOthersCouldHaveChangedIsMadeAgain(Harm harm) throws Exception {
        fetch();
        Path use = folder.resolve("used").resolve(Sha256.of("weights"));
        harm.to(use);

        fetch();
        assertPrivate(use);
        assertThat(store.reads("model")).isEqualTo(1);
    }

    static Stream<Arguments> partialFilesAndHarms() {
        return Stream.of("", ".properties")
                .flatMap(file -> Stream.of(Harm.values()).map(harm -> Arguments.of(file, harm)));
    }

    @ParameterizedTest
    @MethodSource("partialFilesAndHarms")
    void partThatOthersCouldHaveChangedIsNotGoneOnWith(String suffix, Harm harm) throws Exception {
        store.onRead(() -> {});
        store.breakAfter(4);
        try (ArtifactCache cache = open()) {
            assertThatThrownBy(() -> link(cache)).hasMessageContaining("the connection broke");
        }
        harm.to(folder.resolve("partial").resolve(CacheIndex.idOf(store.uri("model")) + suffix));
        store.breakAfter(Long.MAX_VALUE);

        fetch();
        assertThat(store.servedBytes()).as("from the start").isEqualTo(4 + "weights".length());
        assertPrivate(folder.resolve("content").resolve(Sha256.of("weights")));
    }

    /** The other process has a umask of 0000. */
    @Test
    void everythingIsCreatedForItsUserOnlyWhateverTheUmask() throws Exception {
        Files.createDirectories(folder);
        try (OtherProcess reading = OtherProcess.linking(store, root, folder, "model", true)) {
            assertThat(reading.says()).isEqualTo("reading");
            assertThat(assertAllPrivate()).as("with the reserved room").isGreaterThan(PARTS.size());
        }
        try (OtherProcess linking = OtherProcess.linking(store, root, folder, "model", false)) {
            assertThat(linking.says()).isEqualTo("reading");
            assertThat(linking.says()).isEqualTo("reads 1");
            assertAllPrivate();
        }
    }

    @Test
    void defaultFolderIsCreatedForItsUserOnlyWhateverTheUmask() throws Exception {
        try (OtherProcess other = OtherProcess.preparing(temporary.resolve("own/missing"))) {
            assertThat(other.says())
                    .isEqualTo(temporary.resolve("own/missing/llamafu-cache").toString());
        }
    }

    private int assertAllPrivate() throws IOException {
        try (Stream<Path> all = Files.walk(folder)) {
            List<Path> below = all.filter(path -> !path.equals(folder)).toList();
            for (Path path : below) {
                assertPrivate(path);
            }
            return below.size();
        }
    }

    private static void assertPrivate(Path path) throws IOException {
        boolean isFolder = Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS);
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(path, LinkOption.NOFOLLOW_LINKS)))
                .as(path.toString())
                .isEqualTo(isFolder ? "rwx------" : "rw-------");
        assertThat(Files.getAttribute(path, "unix:uid", LinkOption.NOFOLLOW_LINKS))
                .as(path.toString())
                .isEqualTo(Files.getAttribute(path.getParent(), "unix:uid"));
    }
}
