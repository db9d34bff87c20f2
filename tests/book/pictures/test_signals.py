"""What Play says of the four optimizers on one signal, counted."""

from bopkit.book.pictures import signals

ETAS = next(s.values for s in signals.SCENE.sliders if s.name == "learning_rate")
SGD, MOMENTUM, ADAM = LATENT = ("latent, SGD", "latent, momentum", "latent, Adam")


def courses(strength, noise, learning_rate):
    return signals.courses(*signals.signal(strength, noise), learning_rate)


def test_bop_and_a_small_eta_do_not_hear_a_whisper_and_adam_always_does():
    found = {eta: courses(0.05, 0.0, eta) for eta in ETAS}
    assert all(course["Bop"].flips == 0 < course[ADAM].flips for course in found.values())
    assert found[0.1][SGD].flips == 0 < found[0.5][SGD].flips  # 0.1: where η stands at first


def test_under_noise_those_that_average_flip_five_times_and_sgd_66():
    found = courses(0.4, 2.0, 0.5)
    assert {name: course.flips for name, course in found.items()} == {
        "Bop": 5, SGD: 66, MOMENTUM: 5, ADAM: 5,
    }  # fmt: skip


def test_eta_takes_sgd_from_deaf_to_nervous_and_the_others_to_prompt():
    found = [courses(0.4, 1.0, eta) for eta in ETAS]
    assert all(found[0][name].flips == 0 for name in LATENT)
    assert found[-1][SGD].flips > 10
    for name in (MOMENTUM, ADAM):
        wrong = [course[name].wrong for course in found]
        assert found[-1][name].flips == 3 and wrong == sorted(wrong, reverse=True)
    assert len({course["Bop"].flips for course in found}) == 1  # η is not Bop's


def test_for_a_clear_signal_some_eta_is_faster_than_bop():
    found = courses(0.8, 0.0, 0.5)
    assert max(found[SGD].wrong, found[ADAM].wrong) < found["Bop"].wrong
    assert all(course.flips == 3 for course in found.values())
