package io.llamafu.flink.label;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.Sha256;
import io.llamafu.flink.artifact.FolderListing;
import io.llamafu.flink.artifact.Location;
import org.apache.flink.core.fs.FileStatus;
import org.apache.flink.core.fs.FileSystem;
import org.apache.flink.core.fs.Path;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What there is to label. Every file is read once, so that a changed row is found whatever the times of files say.
 *
 * @param files that were read
 * @param parts of them, in order
 * @param unreadable why other files were not, a sentence each
 */
record InputPlan(List<InputFile> files, List<Part> parts, List<LlamafuException> unreadable) {
    /** Keeps the rows of a part in memory small, until it is written. */
    private static final long MOST_PART_BYTES = 16 << 20;

    private static final int NAME_DIGITS = 8;

    /**
     * Files of the input.
     *
     * @param unreadable folders that cannot be listed
     */
    record Found(List<InputFile> files, List<LlamafuException> unreadable) {}

    InputPlan {
        files = List.copyOf(files);
        parts = List.copyOf(parts);
        unreadable = List.copyOf(unreadable);
    }

    /**
     * Finds the files.
     *
     * @param written paths and URIs of files and folders
     * @param format of the files that a folder may have; empty names of other files are left out
     * @throws LlamafuException with INPUT_UNAVAILABLE if there is no such file, INVALID_OPTION if the output is among them
     */
    static Found files(List<String> written, LabelFormat format, LabelStore store) {
        List<InputFile> files = new ArrayList<>();
        List<LlamafuException> unreadable = new ArrayList<>();
        for (String location : written) {
            Path path = path(LabelOption.INPUT, location);
            try {
                FileSystem fileSystem = path.getFileSystem();
                FileStatus status = fileSystem.getFileStatus(path);
                if (!status.isDir()) {
                    files.add(single(status.getPath()));
                } else if (written.size() == 1) {
                    requireApart(path, store);
                    collect(fileSystem, path, "", format, files, unreadable);
                } else {
                    requireApart(path, store);
                    String own = path.getName() + "-" + shortDigest(path) + "/";
                    collect(fileSystem, path, own, format, files, unreadable);
                }
            } catch (FileNotFoundException e) {
                throw new LlamafuException(
                        ErrorCode.INPUT_UNAVAILABLE, "There is no input '%s'; correct --input.".formatted(location), e);
            } catch (IOException e) {
                throw unavailable(location, e);
            }
        }
        files.sort(Comparator.comparing(InputFile::uri));
        Set<String> seen = new HashSet<>();
        files.removeIf(file -> !seen.add(file.uri()));
        return new Found(files, unreadable);
    }

    /**
     * The format that the names of the files say.
     *
     * @throws LlamafuException with INVALID_OPTION if they say none or several
     */
    static LabelFormat format(List<String> written, LabelStore store) {
        List<LabelFormat> found = Arrays.stream(LabelFormat.values())
                .filter(format -> files(written, format, store).files().stream()
                        .anyMatch(file -> format.isNamedLike(file.path().getName())))
                .toList();
        if (found.size() != 1) {
            throw LabelArguments.invalid(
                    "The names of the files of '%s' say %s: set --format jsonl, csv, avro or parquet."
                            .formatted(
                                    String.join("', '", written),
                                    found.isEmpty() ? "no format" : "several formats, " + found));
        }
        return found.get(0);
    }

    /** A path or URI as Flink needs it. */
    static Path path(LabelOption option, String location) {
        return Location.parse(option.key(), location) instanceof Location.Local local
                ? new Path(local.path().toAbsolutePath().normalize().toUri())
                : new Path(location);
    }

    /** Files of one name in different folders have different outputs, whichever files are labelled with them. */
    private static InputFile single(Path path) {
        return new InputFile(path.toUri().toString(), stem(path.getName()) + "-" + shortDigest(path));
    }

    private static String shortDigest(Path path) {
        return Sha256.of(path.toUri().toString()).substring(0, NAME_DIGITS);
    }

    private static void collect(
            FileSystem fileSystem,
            Path folder,
            String relative,
            LabelFormat format,
            List<InputFile> files,
            List<LlamafuException> unreadable) {
        FileStatus[] listed;
        try {
            listed = FolderListing.of(fileSystem, folder);
        } catch (IOException e) {
            unreadable.add(unavailable(folder.getPath(), e));
            return;
        }
        for (FileStatus status : listed) {
            String name = status.getPath().getName();
            if (name.startsWith(".") || name.startsWith("_")) {
                continue;
            }
            if (status.isDir()) {
                collect(fileSystem, status.getPath(), relative + name + "/", format, files, unreadable);
            } else if (format.isNamedLike(name) || name.indexOf('.') < 0) {
                files.add(new InputFile(status.getPath().toUri().toString(), relative + stem(name, format)));
            }
        }
    }

    /** Without the suffix that the output has anyway; any other is kept, for it may tell two files apart. */
    private static String stem(String name, LabelFormat format) {
        return name.endsWith(format.suffix())
                ? name.substring(0, name.length() - format.suffix().length())
                : name;
    }

    private static String stem(String name) {
        int dot = name.lastIndexOf('.');
        return dot > 0 ? name.substring(0, dot) : name;
    }

    private static void requireApart(Path folder, LabelStore store) {
        String input = folder.toUri() + "/";
        String output = store.root().toUri() + "/";
        if (output.startsWith(input)) {
            throw LabelArguments.invalid(
                    "The output '%s' lies within the input '%s', so the next run would label it: choose another folder."
                            .formatted(store.root(), folder));
        }
    }

    /**
     * Reads the files.
     *
     * @param partRows the most rows of a part
     * @param ledger the headers that there are, by the name of their part
     */
    static InputPlan read(Found found, LabelSettings settings, int partRows, Map<String, PartLedger.Header> ledger) {
        List<InputFile> read = new ArrayList<>();
        List<Part> parts = new ArrayList<>();
        List<LlamafuException> unreadable = new ArrayList<>(found.unreadable());
        for (InputFile file : found.files()) {
            try {
                parts.addAll(parts(file, settings, partRows));
                read.add(file);
            } catch (IOException | UnsupportedOperationException e) {
                unreadable.add(unavailable(file.path().getPath(), e));
            } catch (LlamafuException e) {
                if (e.code() != ErrorCode.INPUT_UNAVAILABLE) {
                    throw e;
                }
                unreadable.add(e);
            }
        }
        return new InputPlan(read, withFormerNames(parts, ledger), unreadable);
    }

    private static List<Part> parts(InputFile file, LabelSettings settings, int partRows) throws IOException {
        List<Part> parts = new ArrayList<>();
        try (RowReader reader = settings.format().read(file, settings.delimiter(), Position.START)) {
            RowsDigest digest = new RowsDigest();
            Position from = Position.START;
            int rows = 0;
            long bytes = 0;
            for (Row row = reader.next(); row != null; row = reader.next()) {
                if (parts.isEmpty() && rows == 0) {
                    requireFree(file, reader.columns(), settings.prefix());
                }
                digest.add(row.content());
                rows++;
                bytes += row.content().length;
                if (rows == partRows || bytes >= MOST_PART_BYTES) {
                    parts.add(new Part(file, parts.size(), rows, from, digest.finish(reader.schema()), List.of()));
                    digest = new RowsDigest();
                    from = reader.position();
                    rows = 0;
                    bytes = 0;
                }
            }
            if (rows > 0) {
                parts.add(new Part(file, parts.size(), rows, from, digest.finish(reader.schema()), List.of()));
            }
        }
        return parts;
    }

    private static void requireFree(InputFile file, List<String> columns, String prefix) {
        for (String ours : Answer.columnNames(prefix)) {
            if (columns.contains(ours)) {
                throw LabelArguments.invalid(
                        "'%s' has a column '%s', which the output needs: set another --prefix, such as llm_."
                                .formatted(file.path().getPath(), ours));
            }
        }
    }

    /**
     * Rows move to the next part when others are inserted before them, and whole parts move with the file that was renamed. Their
     * answers are in the ledger of their former part.
     */
    private static List<Part> withFormerNames(List<Part> parts, Map<String, PartLedger.Header> ledger) {
        Set<String> current = new HashSet<>();
        parts.forEach(part -> current.add(part.name()));
        Map<String, String> moved = new HashMap<>();
        ledger.forEach((name, header) -> {
            if (!current.contains(name)) {
                moved.put(header.digest(), name);
            }
        });
        return parts.stream()
                .map(part -> {
                    List<String> former = new ArrayList<>();
                    if (!ledger.containsKey(part.name()) && moved.containsKey(part.digest())) {
                        former.add(moved.get(part.digest()));
                    }
                    if (part.index() > 0) {
                        former.add(Part.name(part.file(), part.index() - 1));
                    }
                    return new Part(part.file(), part.index(), part.rows(), part.from(), part.digest(), former);
                })
                .toList();
    }

    /** Parquet throws an UnsupportedOperationException for a schema that Avro cannot express. */
    static LlamafuException unavailable(String file, Exception e) {
        return new LlamafuException(
                ErrorCode.INPUT_UNAVAILABLE, "'%s' cannot be read: %s".formatted(file, e.getMessage()), e);
    }
}
