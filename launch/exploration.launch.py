"""A robot that explores on its own and maps what it sees: ros2 launch scene_understanding exploration.launch.py

In the embedded world: simulation:=true, with seed:=N for another building. Only to map while somebody else drives:
explore:=false. With Nav2, which drives to the goals: drive:=goal. Without a LiDAR: lidar:=false.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, NotSubstitution, OrSubstitution, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

CONFIG = PathJoinSubstitution([FindPackageShare("scene_understanding"), "config"])

ARGUMENTS = [
    DeclareLaunchArgument("namespace", default_value="", description="namespace of the nodes and of their topics"),
    DeclareLaunchArgument("simulation", default_value="false", description="a robot in the embedded world, and /clock"),
    DeclareLaunchArgument("seed", default_value="5", description="of the building of the embedded world"),
    DeclareLaunchArgument("image", default_value="rgb/image_rect_color", description="colour image"),
    DeclareLaunchArgument("camera_info", default_value="rgb/camera_info", description="of the colour image"),
    DeclareLaunchArgument(
        "depth", default_value="depth_registered/image_rect", description="depth, registered to the image"
    ),
    DeclareLaunchArgument("lidar", default_value="true", description="label and map the points of a LiDAR too"),
    DeclareLaunchArgument("points", default_value="points", description="cloud of the LiDAR"),
    DeclareLaunchArgument("explore", default_value="true", description="off: map only"),
    DeclareLaunchArgument(
        "drive", default_value="cmd_vel", choices=["cmd_vel", "goal"], description="by velocities, or by goals for Nav2"
    ),
    DeclareLaunchArgument("cmd_vel", default_value="cmd_vel", description="velocity commands to the robot"),
    DeclareLaunchArgument("goal_pose", default_value="goal_pose", description="goals for Nav2"),
    DeclareLaunchArgument("map_frame", default_value="map", description="frame of the map"),
    DeclareLaunchArgument("base_frame", default_value="base_link", description="frame of the robot"),
    DeclareLaunchArgument("rviz", default_value="false", description="show it in RViz"),
    DeclareLaunchArgument(
        "params_file",
        default_value=PathJoinSubstitution([CONFIG, "exploration.yaml"]),
        description="ROS 2 parameter file, of all nodes",
    ),
    DeclareLaunchArgument("use_sim_time", default_value="false", description="follow /clock (bags, simulators)"),
    DeclareLaunchArgument("autostart", default_value="true", description="configure and activate by themselves"),
    DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
]

IMAGE, DEPTH = LaunchConfiguration("image"), LaunchConfiguration("depth")
REMAPPINGS = [
    ("rgb/image_rect_color", IMAGE),
    ("rgb/image_rect_color/compressed", [IMAGE, "/compressed"]),
    ("rgb/camera_info", LaunchConfiguration("camera_info")),
    ("depth_registered/image_rect", DEPTH),
    ("depth_registered/image_rect/compressedDepth", [DEPTH, "/compressedDepth"]),
    ("points", LaunchConfiguration("points")),
    ("cmd_vel", LaunchConfiguration("cmd_vel")),
    ("goal_pose", LaunchConfiguration("goal_pose")),
]
SIM_TIME = OrSubstitution(LaunchConfiguration("simulation"), LaunchConfiguration("use_sim_time"))


def of_type(value: object, value_type: type) -> ParameterValue:
    """A parameter of that type: an argument alone is a text, and what it looks like."""
    return ParameterValue(value, value_type=value_type)


def node(name: str, when: object = "true", **parameters: object) -> Node:
    """A lifecycle node of ours; its own parameters win over those of the file."""
    return Node(
        package="scene_understanding",
        executable=name,
        name=name,
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        condition=IfCondition(when),
        parameters=[
            LaunchConfiguration("params_file"),
            {
                "use_sim_time": of_type(SIM_TIME, bool),
                "autostart": of_type(LaunchConfiguration("autostart"), bool),
                **parameters,
            },
        ],
        remappings=REMAPPINGS,
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
    )


def generate_launch_description() -> LaunchDescription:
    """The arguments above, five lifecycle nodes in processes of their own, the simulator and RViz where wanted."""
    map_frame = of_type(LaunchConfiguration("map_frame"), str)
    base_frame = of_type(LaunchConfiguration("base_frame"), str)
    explore = LaunchConfiguration("explore")
    nodes = [
        node(
            "simulator",
            LaunchConfiguration("simulation"),
            seed=of_type(LaunchConfiguration("seed"), int),
            wander=of_type(NotSubstitution(explore), bool),
        ),
        node("segmentation"),
        node("keypoints"),
        node("lidar_segmentation", LaunchConfiguration("lidar"), fixed_frame=map_frame),
        node("semantic_map", map_frame=map_frame, base_frame=base_frame),
        node(
            "exploration",
            explore,
            drive=of_type(LaunchConfiguration("drive"), str),
            use_lidar=of_type(LaunchConfiguration("lidar"), bool),
            map_frame=map_frame,
            base_frame=base_frame,
        ),
    ]
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        condition=IfCondition(LaunchConfiguration("rviz")),
        arguments=["-d", PathJoinSubstitution([CONFIG, "scene_understanding.rviz"])],
        parameters=[{"use_sim_time": of_type(SIM_TIME, bool)}],
    )
    return LaunchDescription([*ARGUMENTS, *nodes, rviz])
