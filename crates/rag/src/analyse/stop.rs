//! Stop words: the function words of a language, which say nothing about what a text is about.

use super::Language;

/// The stop words of `language`, in lowercase, before stemming. None where no list is kept.
pub(super) fn words(language: Language) -> impl Iterator<Item = &'static str> {
    let list = match language {
        Language::English => ENGLISH,
        Language::German => GERMAN,
        Language::French => FRENCH,
        Language::Spanish => SPANISH,
        Language::Italian => ITALIAN,
        Language::Portuguese => PORTUGUESE,
        Language::Dutch => DUTCH,
        Language::Russian => RUSSIAN,
        Language::Swedish => SWEDISH,
        _ => "",
    };
    list.split_ascii_whitespace()
}

const ENGLISH: &str = "\
    i me my myself we our ours ourselves you your yours yourself yourselves he him his
    himself she her hers herself it its itself they them their theirs themselves what which
    who whom whose this that these those am is are was were be been being have has had
    having do does did doing would should could ought might must shall will may can cannot
    i'm you're he's she's it's we're they're i've you've we've they've i'd you'd he'd she'd
    we'd they'd i'll you'll he'll she'll we'll they'll isn't aren't wasn't weren't hasn't
    haven't hadn't doesn't don't didn't won't wouldn't shan't shouldn't can't couldn't
    mustn't let's that's who's what's here's there's when's where's why's how's a an the and
    but if or because as until while of at by for with about against between into through
    during before after above below to from up down in out on off over under again further
    then once here there when where why how all any both each few more most other some such
    no nor not only own same so than too very also";

const GERMAN: &str = "\
    aber alle allem allen aller alles als also am an ander andere anderem anderen anderer
    anderes auch auf aus bei bin bis bist da damit dann das dass daß dasselbe dazu dein
    deine deinem deinen deiner dem den denn der derer des dessen dich die dies diese diesem
    diesen dieser dieses dir doch dort du durch ein eine einem einen einer eines einige
    einigen er es etwas euch euer eure für gegen gewesen hab habe haben hat hatte hatten
    hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer ihres im in indem ins ist
    jede jedem jeden jeder jedes jene jenem jenen jener jenes jetzt kann kein keine keinem
    keinen keiner können könnte machen man manche mein meine meinem meinen meiner mich mir
    mit muss musste nach nicht nichts noch nun nur ob oder ohne sehr sein seine seinem
    seinen seiner selbst sich sie sind so solche soll sollte sondern sonst über um und uns
    unser unsere unter viel vom von vor während war waren warst was weil welche welchem
    welchen welcher welches wenn werde werden wie wieder will wir wird wirst wo wollen
    wollte würde würden zu zum zur zwar zwischen";

const FRENCH: &str = "\
    au aux avec ce ces cet cette dans de des du elle elles en et eux il ils je la le les
    leur leurs lui ma mais me même mes moi mon ne nos notre nous on ou où par pas pour qu
    que quel quelle quelles quels qui sa sans se ses si son sur ta te tes toi ton tu un une
    vos votre vous c d j l à m n s t y est été étée étées étés étant suis es sommes êtes
    sont serai sera seront serait étais était étions étiez étaient fut furent soit ai as
    avons avez ont aurai aura auront aurait avais avait avions aviez avaient eut eu ayant
    comme donc ni car ici ceci cela ça dont";

const SPANISH: &str = "\
    de la que el en y a los del se las por un para con no una su al lo como más pero sus le
    ya o este sí porque esta entre cuando muy sin sobre también me hasta hay donde quien
    desde todo nos durante todos uno les ni contra otros ese eso ante ellos e esto mí antes
    algunos qué unos yo otro otras otra él tanto esa estos mucho quienes nada muchos cual
    poco ella estar estas algunas algo nosotros mi mis tú te ti tu tus ellas es son soy eres
    somos era eran fue fueron ser sido está están estaba he ha han había si";

const ITALIAN: &str = "\
    ad al allo ai agli all alla alle con col da dal dallo dai dagli dall dalla dalle di del
    dello dei degli dell della delle in nel nello nei negli nell nella nelle su sul sullo
    sui sugli sull sulla sulle per tra contro io tu lui lei noi voi loro mio mia miei mie
    tuo tua suo sua suoi sue nostro nostra vostro vostra mi ti ci vi lo la li le gli ne il
    un uno una ma ed se perché anche come dov dove che chi cui non più quale quanto quanti
    quanta quante quello quelli quella quelle questo questi questa queste si tutto tutti a c
    e i l o ho hai ha abbiamo avete hanno è sono sei siamo siete era erano fu essere";

const PORTUGUESE: &str = "\
    de a o que e do da em um para com não uma os no se na por mais as dos como mas ao ele
    das à seu sua ou quando muito nos já eu também só pelo pela até isso ela entre depois
    sem mesmo aos seus quem nas me esse eles você essa num nem suas meu às minha numa pelos
    elas qual nós lhe deles essas esses pelas este dele tu te vocês vos lhes meus minhas teu
    tua teus tuas nosso nossa nossos nossas dela delas esta estes estas aquele aquela
    aqueles aquelas isto aquilo é são era foi ser está estão há";

const DUTCH: &str = "\
    de en van ik te dat die in een hij het niet zijn is was op aan met als voor had er maar
    om hem dan zou of wat mijn men dit zo door over ze zich bij ook tot je mij uit der daar
    haar naar heb hoe heeft hebben deze u want nog zal me zij nu ge geen omdat iets worden
    toch al waren veel meer doen toen moet ben zonder kan hun dus alles onder ja eens hier
    wie werd altijd doch wordt wezen kunnen ons zelf tegen na reeds wil kon niets uw iemand
    geweest andere";

const RUSSIAN: &str = "\
    и в во не что он на я с со как а то все она так его но да ты к у же вы за бы по только
    ее её мне было вот от меня еще ещё нет о из ему теперь когда даже ну вдруг ли если уже
    или ни быть был него до вас нибудь опять уж вам ведь там потом себя ничего ей может они
    тут где есть надо ней для мы тебя их чем была сам чтоб без будто чего раз тоже себе под
    будет ж тогда кто этот того потому этого какой совсем ним здесь этом один почти мой тем
    чтобы нее сейчас были куда зачем всех никогда можно при наконец два об другой хоть после
    над больше тот через эти нас про всего них какая много разве три эту моя впрочем хорошо
    свою этой перед иногда лучше чуть том нельзя такой им более всегда конечно всю между";

const SWEDISH: &str = "\
    och det att i en jag hon som han på den med var sig för så till är men ett om hade de av
    icke mig du henne då sin nu har inte hans honom skulle hennes där min man ej vid kunde
    något från ut när efter upp vi dem vara vad över än dig kan sina här ha mot alla under
    någon eller allt mycket sedan ju denna själv detta åt utan varit hur ingen mitt ni bli
    blev oss din dessa några deras mina samma vilken er sådan vår blivit dess inom mellan
    sådant varför varje vilka ditt vem vilket sitta sådana vart dina vars vårt våra ert era
    vilkas";
