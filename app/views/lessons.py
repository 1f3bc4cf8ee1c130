"""Lessons: a step at a time, its text on the left, the live state of a lab on the right."""

import streamlit as st

import compute
import lesson_figures
from lesson_figures import ANSWERS, Told
from markup import escaped, notify, titled
from pursamere_viz.lessons import LOOKS, BenchView, Lesson, Question, Step
from pursamere_viz.lessons.lesson import FOLDER
from state import LEFT, Left, LessonChoice
from state import lessons as state

NOTES = "teaching_notes"
LABS = {
    "image_lab": ("views/image_lab.py", {"data_set": "digits"}),
    "density_lab": ("views/density_lab.py", {"preset": "three"}),
    "robustness_bench": ("views/robustness_bench.py", {"run": "digits"}),
    "sigma_sweep": ("views/density_lab.py", {"preset": "three"}),
    "small_noise": ("views/density_lab.py", {"preset": "skewed"}),
}  # the page, and what its address says at least: an empty one would bring back what was there last
ELSEWHERE = {  # what is opened of a state that has no page of its own
    "sigma_sweep": "Opens the Density lab. Its section “As the noise grows, minima and modes merge” has this figure.",
    "small_noise": "Opens the Density lab with skewed components in the plane.",
}


def page() -> None:
    """The page: choose, compute, draw."""
    notices, library = state.start(), compute.library()
    for said in library.mistakes:
        st.error(escaped(said), icon=":material/edit_off:")
    if not library.lessons:
        return
    wanted = state["lesson"]
    if wanted not in (*library.lessons, NOTES):
        notices += [f"Ignored: there is no lesson {wanted[:40]!r}."] if wanted else []
        state.put(lesson=next(iter(library.lessons)))
    notify(notices, "link_off")
    lesson = library.lessons.get(state["lesson"])
    if lesson is None:
        _notes(library.lessons)
    else:
        _lesson(lesson, library.lessons)


def _notes(held: dict[str, Lesson]) -> None:
    """The teaching notes, a page of text."""
    state.publish(LessonChoice(lesson=NOTES))
    left, _ = st.columns([0.36, 0.64])
    with left:
        _chooser(held)
    st.markdown((FOLDER / f"{NOTES}.md").read_text(encoding="utf-8"))
    titled("Teaching notes", "Lessons")


def _lesson(lesson: Lesson, held: dict[str, Lesson]) -> None:
    """One step of a lesson: text left, figure right."""
    count = len(lesson.steps)
    number = min(max(int(state["part"]), 1), count)
    state.put(part=number)
    step = lesson.steps[number - 1]
    state.publish(LessonChoice(lesson=lesson.name, part=number))
    titled(step.title, f"{lesson.title} · Lessons")
    told = _told(lesson, number)
    following = _told(lesson, number + 1) if number < count else _first_of_next(lesson, list(held.values()))
    left, right = st.columns([0.34, 0.66], gap="medium")
    prepared = lesson_figures.ready(told)
    with left:
        _chooser(held)
        _steps(lesson, number, list(held.values()))
        with st.container(key="lesson_text"):
            _text(lesson, step, learn=number == 1 and told.answer is None)
            _question(step.question, told)
    with right:
        _figure(told, None if prepared else following)  # what is ready is shown before what comes next is made ready
        if prepared or isinstance(step.state.scenario, BenchView):
            with st.container(key="lesson_ahead_of"):
                lesson_figures.ahead(following)


def _told(lesson: Lesson, number: int) -> Told:
    """A step, and how far its question is answered."""
    story = f"{lesson.name} {number}"
    return Told(story, lesson.steps[number - 1], st.session_state.get(ANSWERS, {}).get(story))


def _first_of_next(lesson: Lesson, held: list[Lesson]) -> Told | None:
    place = held.index(lesson) + 1
    return _told(held[place], 1) if place < len(held) else None


def _figure(told: Told, following: Told | None) -> None:
    try:
        if isinstance(told.step.state.scenario, BenchView):
            lesson_figures.bench(told)
        else:
            lesson_figures.figure(told, following)
    except ValueError as problem:
        st.error(escaped(str(problem)))


def _chooser(held: dict[str, Lesson]) -> None:
    """Which lesson."""
    titles = {name: f"{k}. {one.title} · {one.minutes} min" for k, (name, one) in enumerate(held.items(), 1)}
    titles[NOTES] = "For the lecturer: teaching notes"
    st.selectbox(
        "Lesson", list(titles), key=state.key("lesson"), format_func=titles.__getitem__, on_change=_go, args=(None, 1),
        label_visibility="collapsed",
    )  # fmt: skip


def _go(lesson: str | None, step: int) -> None:
    """To a step, of the chosen lesson or of another."""
    state.put(part=step, **({} if lesson is None else {"lesson": lesson}))


def _steps(lesson: Lesson, number: int, held: list[Lesson]) -> None:
    """Back, where we are, and Next; at the end of a lesson the next one."""
    place, count = held.index(lesson), len(lesson.steps)
    before = held[place - 1] if place else None
    after = held[place + 1] if place + 1 < len(held) else None
    back = (None, number - 1) if number > 1 else (before.name, len(before.steps)) if before else None
    forth = (None, number + 1) if number < count else (after.name, 1) if after else None
    with st.container(horizontal=True, vertical_alignment="center", key="lesson_steps"):
        st.button(
            "Back", icon=":material/arrow_back:", on_click=_go, args=back or (), disabled=back is None, shortcut="PageUp",
        )  # fmt: skip
        st.button(
            "Next" if number < count else "Next lesson", icon=":material/arrow_forward:", on_click=_go,
            args=forth or (), disabled=forth is None, shortcut="PageDown",
        )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center", key="lesson_place"):
        st.progress(number / count, f"Step {number} of {count}")
        _try(lesson, lesson.steps[number - 1], number)


def _text(lesson: Lesson, step: Step, *, learn: bool) -> None:
    """Title and text; at first what will be learnt, and where to read on, which makes room for an answer.

    What a step lacks is said to be empty, here and in `_question`: else the page keeps what stood there until all is drawn.
    """
    st.markdown(f"# {escaped(step.title)}")
    if learn:
        books = ", ".join(escaped(name) for name in lesson.notebooks)
        more = f" Notebook: {books}." if books else ""
        st.markdown(f":small[**You will learn** {escaped('; '.join(lesson.learn))}.{more}]")
    else:
        st.empty()
    st.markdown(step.text)
    if step.look:
        st.markdown(f":material/visibility: **Look at {LOOKS[step.state.lab][step.look]}.**")
    else:
        st.empty()


def _question(question: Question | None, told: Told) -> None:
    """The question; its answer once something was chosen, clicked, or asked for."""
    story, answer = told.story, told.answer
    asked, button, said = st.container(), st.empty(), st.empty()
    if question is None:
        asked.empty()
        return
    if question.choices:
        key = f"_lesson_choice_{story}"
        asked.radio(
            question.text, question.choices, index=None if answer is None else question.choices.index(str(answer)), key=key,
            on_change=lambda: _answer(story, st.session_state[key]),
        )  # fmt: skip
    else:
        asked.markdown(f"**{question.text}**")
    if answer is None:
        if not question.choices:
            label = "Show where it ends" if question.predict else "Show the answer"
            button.button(label, icon=":material/lightbulb:", on_click=_answer, args=(story, True))
        return
    verdict = ""
    if question.choices:
        verdict = "**Right.** " if question.choices.index(str(answer)) == question.right else "**Not so.** "
    elif isinstance(answer, tuple):
        verdict = f"**Your guess is {_miss(answer, question, told.step):.2g} from the end of the path.** "
    said.success(verdict + question.answer)


def _miss(guess: tuple[float, float], question: Question, step: Step) -> float:
    """How far a guess is from the end of the path."""
    result = compute.density_run(step.state.scenario)  # type: ignore[arg-type]
    end = next(path.points[-1].tolist() for path in result.paths if path.method == question.predict)
    return float(((guess[0] - end[0]) ** 2 + (guess[1] - end[1]) ** 2) ** 0.5)


def _answer(story: str, said: object) -> None:
    st.session_state.setdefault(ANSWERS, {})[story] = said


def _try(lesson: Lesson, step: Step, number: int) -> None:
    """Open the state in its lab, from where a link leads back."""
    where, least = LABS[step.state.lab]
    help = ELSEWHERE.get(step.state.lab)
    if st.button("Try it yourself", icon=":material/experiment:", help=help):
        st.session_state[LEFT] = Left(lesson.name, lesson.title, number)
        st.switch_page(where, query_params=least if help else least | step.state.address)


page()
