package io.llamafu.flink;

import io.llamafu.flink.records.RecordTypeInfo;
import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.api.common.typeinfo.TypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInfoFactory;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.typeutils.PojoField;
import org.apache.flink.api.java.typeutils.PojoTypeInfo;

import java.lang.reflect.Type;
import java.util.List;
import java.util.Map;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * A record and its outcome.
 *
 * @param record the input record, unchanged
 * @param completion its text, or its error
 */
@PublicEvolving
@TypeInfo(Answered.TypeFactory.class)
public record Answered<T>(T record, Completion completion) {

    /** The type of {@code Answered} for a type of records. */
    public static <T> TypeInformation<Answered<T>> type(TypeInformation<T> recordType) {
        checkNotNull(recordType, "recordType is null");
        @SuppressWarnings("unchecked") // the class of a generic type has no parameters
        Class<Answered<T>> answered = (Class<Answered<T>>) (Class<?>) Answered.class;
        try {
            return new PojoTypeInfo<>(
                    answered,
                    List.of(
                            new PojoField(Answered.class.getDeclaredField("record"), recordType),
                            new PojoField(
                                    Answered.class.getDeclaredField("completion"),
                                    new RecordTypeInfo<>(Completion.class))));
        } catch (NoSuchFieldException e) {
            throw new IllegalStateException("A record has a field for each of its components.", e);
        }
    }

    /** Provides the type where Flink asks for it, such as in {@code new TypeHint<Answered<Ticket>>() {}}. */
    @Internal
    public static final class TypeFactory<T> extends TypeInfoFactory<Answered<T>> {
        @Override
        @SuppressWarnings("unchecked") // T is the one parameter of Answered
        public TypeInformation<Answered<T>> createTypeInfo(
                Type type, Map<String, TypeInformation<?>> genericParameters) {
            return type((TypeInformation<T>) genericParameters.get("T"));
        }
    }
}
